import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from rsc_mm.models.backbones.networks import build_vit
from rsc_mm.models.backbones.readouts import build_readout
from tests.towers import tiny_eva, tiny_vit

IMAGES = torch.randn(2, 3, 48, 80, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('build', [tiny_vit, tiny_eva])
def test_equals_a_slow_version_token_by_token(build):
    tower = build(readout='value_cls')
    block, norm = tower.vit.blocks[-1], tower.vit.norm
    value = block.attn.qkv.v if build is tiny_vit else block.attn.v_proj
    with torch.no_grad():
        dense = tower.encode_dense(IMAGES, normalize=False)
        tokens = _before_the_last_block(tower)
        for image in range(2):
            for place in range(dense.shape[2] * dense.shape[3]):
                x = tokens[image, 1 + place]
                y = tokens[image, 0] + block.attn.proj(block.attn.norm(value(block.norm1(x))))
                y = y + block.mlp(block.norm2(y[None]))[0]
                expected = tower.vit.head(norm(y))
                torch.testing.assert_close(dense[image].flatten(1)[:, place], expected, atol=1e-5, rtol=1e-5)
    assert (dense - build(readout='value').encode_dense(IMAGES, normalize=False)).abs().max() > 0.1


def _before_the_last_block(tower) -> torch.Tensor:
    seen = []
    handle = tower.vit.blocks[-2].register_forward_hook(lambda module, args, out: seen.append(out))
    tower.encode_dense(IMAGES)
    handle.remove()
    return seen[0]


def test_a_tower_without_class_token_is_refused():
    vit = build_vit(VisionTransformer, dict(img_size=32, patch_size=16, embed_dim=48, depth=2, num_heads=3,
                                            class_token=False, global_pool='avg', num_classes=0), {})
    with pytest.raises(ValueError, match="found 'value_cls' on a tower without class token, expected 'value'"):
        build_readout('value_cls', vit)
