"""Every tower of docs/towers.md by its published name: sizes on the meta device, the small ones with random weights."""
import open_clip
import pytest
import torch

from rsc_mm.models import CLIPViT, DINOv2ViT, EVACLIPViT, PECoreViT, SigLIPViT, TIPSViT
from tests.test_tools.common import REPOSITORY

# timm's name -> the tower, the embedding size, and open_clip's name, which knows that size, where it has one.
TOWERS = {
    'eva02_base_patch16_clip_224': (EVACLIPViT, 512, 'EVA02-B-16'),
    'eva02_large_patch14_clip_336': (EVACLIPViT, 768, 'EVA02-L-14-336'),
    'vit_base_patch16_clip_quickgelu_224': (CLIPViT, 512, 'ViT-B-16-quickgelu'),
    'vit_base_patch16_clip_224': (CLIPViT, 512, 'ViT-B-16'),
    'vit_large_patch14_clip_quickgelu_224': (CLIPViT, 768, 'ViT-L-14-quickgelu'),
    'vit_large_patch14_clip_quickgelu_336': (CLIPViT, 768, 'ViT-L-14-336-quickgelu'),
    'vit_base_patch16_siglip_224': (SigLIPViT, 768, 'ViT-B-16-SigLIP2'),
    'vit_base_patch16_siglip_512': (SigLIPViT, 768, 'ViT-B-16-SigLIP2-512'),
    'vit_large_patch16_siglip_256': (SigLIPViT, 1024, 'ViT-L-16-SigLIP-256'),
    'vit_so400m_patch14_siglip_378': (SigLIPViT, 1152, 'ViT-SO400M-14-SigLIP2-378'),
    'vit_pe_core_tiny_patch16_384': (PECoreViT, 512, 'PE-Core-T-16-384'),
    'vit_pe_core_small_patch16_384': (PECoreViT, 512, 'PE-Core-S-16-384'),
    'vit_pe_core_base_patch16_224': (PECoreViT, 1024, 'PE-Core-B-16'),
    'vit_pe_core_large_patch14_336': (PECoreViT, 1024, 'PE-Core-L-14-336'),
    'vit_base_patch14_reg1_tipsv2': (TIPSViT, 768, None),
    'vit_large_patch14_reg1_tipsv2': (TIPSViT, 1024, None),
    'vit_small_patch14_dinov2': (DINOv2ViT, 384, None),
    'vit_base_patch14_dinov2': (DINOv2ViT, 768, None),
    'vit_base_patch14_reg4_dinov2': (DINOv2ViT, 768, None),
    'vit_large_patch14_dinov2': (DINOv2ViT, 1024, None),
}
SMALL = ('vit_pe_core_tiny_patch16_384', 'vit_small_patch14_dinov2')


@torch.no_grad()
@pytest.mark.parametrize('name', TOWERS)
def test_named_tower_describes_a_rectangle(name):
    """Both encoders, without memory; the embedding has the size of open_clip's model."""
    cls, size, model = TOWERS[name]
    with torch.device('meta'):
        tower = cls(name).eval()
        x = torch.empty(2, 3, 3 * tower.patch_size, 5 * tower.patch_size - 3)
    assert tower.encode_image(x).shape == (2, size) and tower.encode_dense(x).shape == (2, size, 3, 5)
    if model is not None:
        config = open_clip.get_model_config(model)
        assert config['embed_dim'] == size and config['vision_cfg']['image_size'] == tower.image_size
        assert config['vision_cfg'].get('timm_model_name', name) == name


@torch.no_grad()
@pytest.mark.parametrize('name', SMALL)
def test_small_named_tower_with_random_weights(name):
    torch.manual_seed(0)
    tower = TOWERS[name][0](name, readout='qq').eval()
    x = torch.randn(1, 3, 3 * tower.patch_size, 5 * tower.patch_size)
    dense, image = tower.encode_dense(x), tower.encode_image(x, normalize=True)
    assert torch.allclose(dense.norm(dim=1), torch.ones(1, 3, 5), atol=1e-5)
    assert torch.allclose(image.norm(dim=1), torch.ones(1), atol=1e-5)


def test_the_page_names_every_tower():
    page = (REPOSITORY / 'docs' / 'towers.md').read_text()
    assert not [cls for cls in {tower[0].__name__ for tower in TOWERS.values()} if f'`{cls}`' not in page]
