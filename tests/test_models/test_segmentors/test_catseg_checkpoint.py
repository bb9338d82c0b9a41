import open_clip
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from rsc_mm.models.segmentors import convert_catseg, convert_catseg_aggregator  # noqa: E402
from rsc_mm.utils.checkpoint import CheckpointError  # noqa: E402
from tests.test_tools.common import load_tool  # noqa: E402
from tests.towers import GOLDEN_ARCH  # noqa: E402

from .tiny import build, tiny_config  # noqa: E402

CLIP = 'sem_seg_head.predictor.clip_model.'
AGGREGATOR = 'sem_seg_head.predictor.transformer.'
VIT = {key: value for key, value in GOLDEN_ARCH.items() if key != 'ref_feat_shape'}
TOWERS = {'B': dict(width=768, depth=12, patch=16, side=224, embed=512, text=512),
          'L': dict(width=1024, depth=24, patch=14, side=336, embed=768, text=768)}


def public_clip(width: int, depth: int, patch: int, side: int, embed: int, text: int) -> dict[str, torch.Tensor]:
    """Tensors without content, in names and shapes of the public CLIP with separate projection weights."""
    def block(stem: str, dim: int) -> dict[str, tuple[int, ...]]:
        shapes = {f'attn.{part}_proj_weight': (dim, dim) for part in 'qkv'}
        shapes.update({'attn.in_proj_bias': (3 * dim, ), 'attn.out_proj.weight': (dim, dim),
                       'attn.out_proj.bias': (dim, ), 'mlp.c_fc.weight': (4 * dim, dim), 'mlp.c_fc.bias': (4 * dim, ),
                       'mlp.c_proj.weight': (dim, 4 * dim), 'mlp.c_proj.bias': (dim, )})
        shapes.update({f'ln_{i}.{kind}': (dim, ) for i in (1, 2) for kind in ('weight', 'bias')})
        return {f'{stem}.{name}': shape for name, shape in shapes.items()}

    shapes = {'visual.class_embedding': (width, ), 'visual.positional_embedding': ((side // patch) ** 2 + 1, width),
              'visual.conv1.weight': (width, 3, patch, patch), 'visual.proj': (width, embed),
              'positional_embedding': (77, text), 'token_embedding.weight': (49408, text),
              'text_projection': (text, embed), 'logit_scale': ()}
    for norm, dim in (('visual.ln_pre', width), ('visual.ln_post', width), ('ln_final', text)):
        shapes.update({f'{norm}.{kind}': (dim, ) for kind in ('weight', 'bias')})
    for i in range(depth):
        shapes.update(block(f'visual.transformer.resblocks.{i}', width))
    for i in range(12):
        shapes.update(block(f'transformer.resblocks.{i}', text))
    return {CLIP + key: torch.empty(shape, device='meta') for key, shape in shapes.items()}


def public_new_parts(model: torch.nn.Module, official: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Aggregator and upsamplers of a model under the public names, which the golden file holds in the public order."""
    names = [key for key in official if not key.endswith('attn_mask')]
    head = model.decode_head.state_dict()
    parts = {'layers.0.swin_block.block_2.attn_mask': torch.zeros(4, 9, 9)}
    for name, ours in zip(names, convert_catseg_aggregator(official)):
        value = head[f'aggregator.{ours}']
        parts[AGGREGATOR + name] = value.reshape(1, 1, -1) if 'padding' in name else value
    for i, name in enumerate(('upsample1', 'upsample2')):
        parts.update({f'{name}.{kind}': head[f'upsamplers.{i}.{kind}'] for kind in ('weight', 'bias')})
    return {(AGGREGATOR if key.startswith('layers') else '') + key: value for key, value in parts.items()}


@pytest.mark.parametrize('size', TOWERS)
def test_every_tensor_of_a_public_model_has_its_place(size, official):
    """Names and shapes of model_base.pth and model_large.pth, without their content."""
    tower = TOWERS[size]
    config = tiny_config(
        tower=dict(arch=f"vit_{dict(B='base_patch16_clip_quickgelu_224', L='large_patch14_clip_quickgelu_336')[size]}",
                   readout='value_cls'),
        vocabulary=dict(arch=dict(B='ViT-B-16-quickgelu', L='ViT-L-14-336-quickgelu')[size]))
    config.decode_head.in_channels = tower['width']
    config.decode_head.aggregator = dict(text_dim=tower['embed'], appearance_dim=tower['embed'])
    with torch.device('meta'):
        model = build(config)
    public = {**public_clip(**tower), **public_new_parts(model, official)}
    converted = convert_catseg(public)
    expected = model.state_dict()
    assert converted.keys() == expected.keys()
    assert not [key for key, value in converted.items() if value.shape != expected[key].shape]


@torch.no_grad()
def test_a_converted_model_computes_what_the_public_one_does(official):
    """Both towers against open_clip's; the last visual block by the public formula z = v + x_CLS, + MLP(LN(z))."""
    torch.manual_seed(0)
    text = dict(context_length=20, vocab_size=49408, width=16, heads=2, layers=3)
    vision = dict(image_size=64, patch_size=16, width=48, layers=4, head_width=16)
    clip = open_clip.CLIP(24, vision, text, quick_gelu=True).eval()
    for p in clip.parameters():
        p.add_(torch.randn_like(p) * 0.05)
    model = build(tiny_config(tower=dict(arch=VIT, readout='value_cls'),
                              vocabulary=dict(arch=dict(embed_dim=24, quick_gelu=True, **text), synonyms=None)))
    public = {**public_new_parts(model, official), **{CLIP + k: v for k, v in split_projections(clip).items()}}
    model.load_state_dict(convert_catseg(public))
    model.eval()

    images = torch.randn(2, 3, 64, 64)
    blocks = clip.visual.transformer.resblocks
    outputs = [[] for _ in blocks]
    handles = [block.register_forward_hook(lambda m, args, out, seen=seen: seen.append(out))
               for block, seen in zip(blocks, outputs)]
    clip.encode_image(images)
    for handle in handles:
        handle.remove()
    before, last = outputs[2][0], blocks[3]
    weight, bias = (getattr(last.attn, f'in_proj_{kind}').chunk(3)[2] for kind in ('weight', 'bias'))
    z = before[:, :1] + last.attn.out_proj(F.linear(last.ln_1(before), weight, bias))
    z = z + last.mlp(last.ln_2(z))
    dense = (clip.visual.ln_post(z) @ clip.visual.proj)[:, 1:]
    found = model.extract_feat(images)
    torch.testing.assert_close(found[0].flatten(2).transpose(1, 2), dense, atol=1e-5, rtol=1e-4)
    for i, guide in zip((0, 1), found[1:]):
        torch.testing.assert_close(guide.flatten(2).transpose(1, 2), outputs[i][0][:, 1:], atol=1e-5, rtol=1e-4)
    tokens = open_clip.tokenize([f'A photo of a {name} in the scene' for name in model.classes], context_length=20)
    torch.testing.assert_close(model.decode_head.vocabulary()[:, 0], F.normalize(clip.encode_text(tokens), dim=1),
                               atol=1e-5, rtol=1e-4)


def split_projections(clip: torch.nn.Module) -> dict[str, torch.Tensor]:
    """open_clip's state dict as the public code holds it: three projection weights, one bias."""
    weights = {}
    for key, value in clip.state_dict().items():
        if key.endswith('in_proj_weight'):
            stem = key.removesuffix('in_proj_weight')
            weights.update({f'{stem}{part}_proj_weight': rows for part, rows in zip('qkv', value.chunk(3))})
        elif not key.endswith('attn_mask'):
            weights[key] = value
    return weights


def test_the_tool_writes_what_a_model_reads(tmp_path, monkeypatch, official):
    model = build(tiny_config(tower=dict(arch=VIT, readout='value_cls'),
                              vocabulary=dict(arch=dict(embed_dim=24, width=16, heads=2, layers=3, context_length=20))))
    clip = open_clip.CLIP(24, dict(image_size=64, patch_size=16, width=48, layers=4, head_width=16),
                          dict(context_length=20, vocab_size=49408, width=16, heads=2, layers=3))
    public = {**public_new_parts(model, official), **{CLIP + k: v for k, v in split_projections(clip).items()}}
    torch.save(dict(model=public, iteration=79999), tmp_path / 'model_base.pth')
    monkeypatch.setattr('sys.argv', ['tool', str(tmp_path / 'model_base.pth'), str(tmp_path / 'out' / 'ours.pth')])
    load_tool('converters/convert_catseg_checkpoint').main()
    saved = torch.load(tmp_path / 'out' / 'ours.pth', weights_only=True)
    model.load_state_dict(saved['state_dict'])
    assert saved['meta']['readout'] == 'value_cls' and len(saved['meta']['dataset_meta']['classes']) == 171
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['ours.pth']


def test_what_is_no_public_model_is_refused():
    with pytest.raises(CheckpointError, match=r"unknown keys \['backbone.res2.weight'\]; .* first version"):
        convert_catseg({'backbone.res2.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='found no vision tower'):
        convert_catseg({'upsample1.weight': torch.zeros(1)})
