import pytest
import timm
import torch
from torch.nn import functional as F

from rsc_mm.models import VFMTeacher
from rsc_mm.models.backbones.position import resize_antialiased, resize_with_offset
from rsc_mm.models.region_preprocessor import CLIP_MEAN, CLIP_STD
from rsc_mm.models.teachers.vfm_checkpoint import load_vfm_checkpoint
from rsc_mm.utils.checkpoint import CheckpointError
from tests.towers import GOLDEN_ARCH, randomize

# One name of every family, with its prefix tokens and channels; patch 14 and 16.
FAMILIES = {
    'vit_small_patch16_224.dino': (16, 384),
    'vit_small_patch14_dinov2': (14, 384),
    'vit_small_patch14_reg4_dinov2': (14, 384),
    'vit_small_patch16_dinov3': (16, 384),
    'samvit_base_patch16': (16, 256),
    'vit_pe_spatial_tiny_patch16_512': (16, 192),
    'vit_base_patch16_radio_v3': (16, 768),
}


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's own networks with two blocks, for images of 112 px, 7 x 7 or 8 x 8 patches."""
    create = timm.create_model
    monkeypatch.setattr(timm, 'create_model', lambda name, **fields: create(name, depth=2, img_size=112, **fields))


def images(height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize('arch', FAMILIES)
def test_every_family_on_the_students_grid(arch):
    patch, channels = FAMILIES[arch]
    teacher = VFMTeacher(arch)
    assert teacher.patch_size == patch
    assert teacher(images(), (3, 4), 16).shape == (2, channels, 3, 4)
    assert teacher(images(42, 60), (3, 4), 16).shape == (2, channels, 3, 4)  # the tower pads to whole patches
    assert teacher(images()[:0], (3, 4), 16).shape[2:] == (3, 4)
    assert not teacher.train().training and not any(p.requires_grad for p in teacher.parameters())
    assert not any(module.training for module in teacher.modules())


@torch.no_grad()
@pytest.mark.parametrize('arch', [name for name in FAMILIES if 'sam' not in name])
@pytest.mark.parametrize('layer, norm', [(-1, True), (-2, True), (-1, False)])
def test_tokens_are_timms_own(arch, layer, norm, tmp_path):
    """On the native grid, where no position embedding is resized; weights through timm's converters."""
    theirs = randomize(timm.create_model(arch, num_classes=0, dynamic_img_size=True), 0)
    torch.save(theirs.state_dict(), tmp_path / 'vfm.pth')
    teacher = VFMTeacher(arch, layer, norm, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'vfm.pth')))
    teacher.init_weights()
    side = theirs.patch_embed.img_size[0]
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = theirs.forward_intermediates(x, indices=[2 + layer], norm=norm, intermediates_only=True)[0]
    assert torch.allclose(teacher.tokens(x), expected, atol=1e-4)


@torch.no_grad()
def test_sam_after_the_neck(tmp_path):
    theirs = randomize(timm.create_model('samvit_base_patch16', num_classes=0), 0)
    weights = {f"image_encoder.{key.replace('mlp.fc', 'mlp.lin')}": value for key, value in theirs.state_dict().items()}
    torch.save({**weights, 'mask_decoder.iou_token.weight': torch.ones(1)}, tmp_path / 'sam.pth')
    teacher = VFMTeacher('samvit_base_patch16', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'sam.pth')))
    teacher.init_weights()
    x = images(64, 96)
    assert torch.allclose(teacher.tokens(x), theirs.forward_features(x), atol=1e-5)
    with pytest.raises(ValueError, match="'layer': found -2, expected a block of 'samvit_base_patch16': .* -1"):
        VFMTeacher('samvit_base_patch16', layer=-2)


@torch.no_grad()
@pytest.mark.parametrize('arch, mean', [('vit_small_patch14_dinov2', (0.485, 0.456, 0.406)),
                                        ('vit_pe_spatial_tiny_patch16_512', (0.5, 0.5, 0.5)),
                                        ('vit_base_patch16_radio_v3', CLIP_MEAN)])
def test_the_input_is_resized_and_normalised_anew(arch, mean):
    teacher, seen = VFMTeacher(arch), []
    teacher.tokens = seen.append
    picture = torch.rand(1, 3, 1, 1).expand(1, 3, 48, 64)  # one colour, so that resizing changes nothing
    student = (picture - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    teacher(student, (3, 4), 16)
    std = dict(timm.get_pretrained_cfg(arch).to_dict())['std']
    expected = (picture - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    patch = teacher.patch_size
    assert seen[0].shape == (1, 3, 3 * patch, 4 * patch)
    assert torch.allclose(seen[0], expected[..., :1, :1].expand_as(seen[0]), atol=1e-5)


@torch.no_grad()
def test_grids_that_differ_are_refused_with_both_and_the_size_that_fits():
    teacher = VFMTeacher('vit_small_patch14_dinov2', image_size=560)
    with pytest.raises(ValueError, match=r"'image_size': found 560, a grid of 40 x 40 tokens at patch 14, expected the "
                       r"student's 64 x 64; an input of 896 x 896 px would fit"):
        teacher(torch.zeros(1, 3, 1024, 1024), (64, 64), 16)
    fitting = VFMTeacher('vit_small_patch14_dinov2', image_size=42)
    assert fitting(images(48, 48), (3, 3), 16).shape == (2, 384, 3, 3)


def slow_offset(position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """The cubic convolution (a = -0.75) of one channel, point by point, at a scale of (side + 0.1) / native side."""
    def kernel(t: float) -> float:
        t, a = abs(t), -0.75
        if t <= 1:
            return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1
        return a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a if t < 2 else 0.

    height, width = position.shape
    out = torch.zeros(grid, dtype=position.dtype)
    for i in range(grid[0]):
        for j in range(grid[1]):
            y, x = (i + 0.5) * height / (grid[0] + 0.1) - 0.5, (j + 0.5) * width / (grid[1] + 0.1) - 0.5
            for m in range(int(y // 1) - 1, int(y // 1) + 3):
                for n in range(int(x // 1) - 1, int(x // 1) + 3):
                    value = position[min(max(m, 0), height - 1), min(max(n, 0), width - 1)]
                    out[i, j] += kernel(y - m) * kernel(x - n) * value
    return out


def test_position_embeddings_are_resized_as_the_original_code_does():
    position = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for grid in ((3, 5), (9, 4)):
        resized = resize_with_offset(position, grid)
        assert resized.shape == (1, 3, *grid)
        assert torch.allclose(resized[0, 1], slow_offset(position[0, 1], grid), atol=1e-6)
    antialiased = F.interpolate(position, (3, 5), mode='bicubic', antialias=True)
    assert torch.equal(resize_antialiased(position, (3, 5)), antialiased)
    chosen = {name: VFMTeacher(name).network.position for name in FAMILIES if 'sam' not in name}
    assert {name for name, position in chosen.items() if position == 'offset'} == {
        'vit_small_patch16_224.dino', 'vit_small_patch14_dinov2'}
    assert VFMTeacher('vit_small_patch14_dinov2', position='antialiased').network.position == 'antialiased'


@torch.no_grad()
def test_a_tower_of_ours_as_teacher():
    teacher = VFMTeacher(dict(type='EVACLIPViT', arch=GOLDEN_ARCH), layer=1, norm=False)
    randomize(teacher.network, 0)
    x = images()
    assert torch.allclose(teacher(x, (3, 4), 16), teacher.network.intermediates(x, (1, ))[0], atol=1e-4)


@pytest.mark.parametrize('fields, expected', [
    (dict(arch='dino_of_nobody'), "'arch': found 'dino_of_nobody'"),
    (dict(arch='vit_small_patch14_dinov2', layer=2), "'layer': found 2, expected a block of .* -2 to 1"),
    (dict(arch='vit_small_patch14_dinov2', position='nearest'), r"'position': found 'nearest', expected one of"),
])
def test_bad_fields(fields, expected):
    with pytest.raises(ValueError, match=expected):
        VFMTeacher(**fields)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    teacher = VFMTeacher('vit_small_patch14_dinov2')
    torch.save({'cls_token': torch.zeros(1, 1, 384)}, tmp_path / 'part.pth')
    with pytest.raises(CheckpointError, match='part.pth does not fit the teacher: missing keys blocks.0'):
        load_vfm_checkpoint(teacher.network, teacher.arch, str(tmp_path / 'part.pth'))
    with pytest.raises(FileNotFoundError, match='nothing.pth: no such file'):
        load_vfm_checkpoint(teacher.network, teacher.arch, str(tmp_path / 'nothing.pth'))
