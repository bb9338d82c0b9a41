"""Towers beside EVA-02-CLIP and OpenAI's: SigLIP, PE-Core, TIPSv2, DINOv2; every tower in a small variant."""
import open_clip
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.models import CLIPViT, DINOv2ViT, EVACLIPViT, PECoreViT, Refiner, SigLIPViT, TIPSViT
from rsc_mm.utils.checkpoint import checkpoint_meta, export_state_dict, load_clip_checkpoint
from tests.towers import randomize

SMALL = dict(img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3)
TOWERS = {
    'EVA-02-CLIP': (EVACLIPViT, dict(num_classes=24, ref_feat_shape=(4, 4))),
    'OpenAI CLIP': (CLIPViT, dict(num_classes=24)),
    'LAION CLIP': (CLIPViT, dict(num_classes=24, act_layer='gelu')),
    'SigLIP': (SigLIPViT, dict(num_classes=0)),
    'PE-Core': (PECoreViT, dict(num_classes=24, ref_feat_shape=(4, 4))),
    'PE-Core without class token': (PECoreViT, dict(num_classes=24, ref_feat_shape=(4, 4), class_token=False)),
    'TIPSv2': (TIPSViT, dict(init_values=0.5)),
    'DINOv2': (DINOv2ViT, dict(init_values=0.5)),
    'DINOv2 with registers': (DINOv2ViT, dict(init_values=0.5, reg_tokens=4, no_embed_class=True)),
}
READOUTS = ('value', 'vanilla', 'qq', 'kk', 'vv', 'csa', 'all', 'hsg', 'hsg_ffn')
POOLED = ('SigLIP', 'PE-Core', 'PE-Core without class token')
EACH = pytest.mark.parametrize('name', TOWERS)
EACH_POOLED = pytest.mark.parametrize('name', POOLED)


def tower_of(name: str, seed: int = 0, **fields: object) -> nn.Module:
    cls, arch = TOWERS[name]
    return randomize(cls({**SMALL, **arch}, **fields), seed)


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@EACH
def test_image_embedding_is_timms(name):
    tower = tower_of(name)
    assert torch.allclose(tower.encode_image(images()), tower.vit(images()), atol=1e-5)


@torch.no_grad()
@EACH
@pytest.mark.parametrize('readout', READOUTS)
def test_both_encoders_on_a_rectangle(name, readout):
    tower = tower_of(name, readout=readout)
    dense = tower.encode_dense(images(40, 80))
    assert dense.shape == (2, tower.embed_dim, 3, 5) and dense.isfinite().all()
    assert torch.allclose(dense.norm(dim=1), torch.ones(2, 3, 5), atol=1e-5)
    assert tower.encode_image(images(40, 80)).shape == (2, tower.embed_dim)
    with torch.autocast('cpu', torch.bfloat16):
        assert F.cosine_similarity(tower.encode_dense(images(40, 80)), dense, dim=1).min() > 0.9


@EACH
@pytest.mark.parametrize('readout', READOUTS)
def test_frozen_is_what_gets_no_gradient(name, readout):
    """DDP refuses a parameter that takes no part, and one that is frozen by mistake would not learn."""
    tower = tower_of(name, readout=readout).train()
    content, context = tower.encode_content_and_context(images())
    (content.square().sum() + context.square().sum()).backward()
    assert not [key for key, p in tower.named_parameters() if p.requires_grad and p.grad is None]
    trained = {key for key, p in tower.named_parameters() if p.requires_grad}
    assert {key for key in trained if key.startswith('vit.')} <= {key for key in trained
                                                                  if key.startswith(('vit.blocks.', 'vit.attn_pool.'))}
    tower.requires_grad_(True)
    tower.zero_grad()
    content, context = tower.encode_content_and_context(images())
    (content.square().sum() + context.square().sum()).backward()
    reached = {key for key, p in tower.named_parameters() if p.grad is not None}
    assert trained == {key for key in reached if key.startswith(('vit.blocks.', 'vit.attn_pool.', 'readout.'))}


@torch.no_grad()
@pytest.mark.parametrize('name', ['SigLIP', 'PE-Core without class token'])
@pytest.mark.parametrize('readout', ['value', 'vanilla'])
def test_value_path_of_one_token_is_the_image_embedding(name, readout):
    tower = tower_of(name, readout=readout)
    x = images(16, 16)
    dense = tower.encode_dense(x, normalize=False)[:, :, 0, 0]
    assert torch.allclose(dense, tower.encode_image(x), atol=1e-5)


@torch.no_grad()
def test_value_path_of_the_pooling_by_hand():
    """The head adds its MLP to y, not to LN(y): DeCLIP's form differs."""
    tower = tower_of('SigLIP')
    vit, pool = tower.vit, tower.vit.attn_pool
    x = images()
    tokens = vit.norm(vit.blocks(vit.norm_pre(vit._pos_embed(vit.patch_embed(x)))))  # (B, N, C)
    y = pool.proj(pool.kv(tokens)[..., 48:])
    by_hand = (y + pool.mlp(pool.norm(y))).transpose(1, 2).unflatten(2, (4, 4))  # (B, C, h, w)
    dense = tower.encode_dense(x, normalize=False)
    assert torch.allclose(dense, by_hand, atol=1e-5)
    theirs = pool.norm(y) + pool.mlp(pool.norm(y))
    assert not torch.allclose(dense.flatten(2).transpose(1, 2), theirs, atol=1e-2)


@torch.no_grad()
def test_self_attention_in_the_pooling_by_hand():
    """Queries of the tokens by the pooling's own projection; softmax(s q q^T) v, projection, MLP (DeCLIP on SigLIP)."""
    tower = tower_of('SigLIP', readout=dict(type='qq', scaled=True))
    vit, pool = tower.vit, tower.vit.attn_pool
    tokens = vit.norm(vit.blocks(vit._pos_embed(vit.patch_embed(images()))))  # (B, N, C)
    q, v = (x.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2) for x in (pool.q(tokens), pool.kv(tokens)[..., 48:]))
    weights = (q @ q.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
    y = pool.proj((weights @ v).transpose(1, 2).flatten(2))  # (B, N, C)
    content, context = tower.encode_content_and_context(images())
    assert torch.allclose(content.flatten(2).transpose(1, 2), y + pool.mlp(pool.norm(y)), atol=1e-5)
    assert torch.allclose(context.flatten(2).transpose(1, 2), pool.q(tokens), atol=1e-5)


@EACH
@pytest.mark.parametrize('layout', ['ours', 'mmdet', 'clip'])
def test_export_and_reload(name, layout):
    tower, other = tower_of(name), tower_of(name, seed=1)
    load_clip_checkpoint(other, {'state_dict': export_state_dict(tower, layout), 'meta': checkpoint_meta(tower)})
    assert all(torch.equal(a, b) for a, b in zip(tower.state_dict().values(), other.state_dict().values(), strict=True))


@EACH_POOLED
def test_refiner(name):
    tower = tower_of(name)
    refiner = Refiner(tower, num_blocks=2, inter_layers=(1, 2), hidden_dims=16,
                      region_token=bool(tower.num_prefix_tokens))
    refiner.copy_weights(tower)
    maps = tower.intermediates(images(), refiner.layers)
    refined = refiner(maps, [torch.tensor([[0., 0., 64., 64.]])] * 2, 4)
    assert refined.shape == (2, 16, tower.embed_dim)
    if name == 'SigLIP':  # the whole image as one region: the tower itself
        dense = tower.encode_dense(images(), normalize=False).flatten(2).transpose(1, 2)
        assert torch.allclose(refined, dense, atol=1e-4)
    refined.square().sum().backward()
    assert not [key for key, p in refiner.named_parameters() if p.requires_grad and p.grad is None]


@torch.no_grad()
@pytest.mark.slow
def test_open_clip_computes_the_same_siglip():
    """open_clip's own model around timm's network, loaded by its key names."""
    text = dict(context_length=8, vocab_size=100, width=48, heads=3, layers=1)
    cfg = dict(timm_model_name='vit_base_patch16_siglip_224', timm_pool='map', timm_proj='none', image_size=224)
    theirs = open_clip.CustomTextCLIP(768, cfg, text).eval()
    tower = SigLIPViT(frozen_stages=12)
    load_clip_checkpoint(tower, theirs.state_dict())
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(tower.encode_image(x), theirs.encode_image(x), atol=1e-5)
