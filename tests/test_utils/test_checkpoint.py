import open_clip
import pytest
import torch

from rsc_mm.models import CLIPViT, EVACLIPViT
from rsc_mm.utils.checkpoint import (
    CheckpointError,
    checkpoint_meta,
    export_state_dict,
    load_clip_checkpoint,
    read_checkpoint,
)
from tests.towers import golden, tiny_eva, tiny_vit

IMAGE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def same(first, second) -> bool:
    return (torch.equal(first.encode_image(IMAGE), second.encode_image(IMAGE))
            and torch.equal(first.encode_dense(IMAGE), second.encode_dense(IMAGE)))


@pytest.mark.parametrize('wrap', [
    lambda w: w,
    lambda w: {'model': w},
    lambda w: {'module': w},
    lambda w: {'state_dict': {'module.' + key: value for key, value in w.items()}, 'epoch': 6},
    lambda w: {'state_dict': {**w, 'logit_scale': torch.ones(()), 'text.ln_final.weight': torch.ones(4)}},
    lambda w: {**w, 'visual.rope.freqs_cos': torch.ones(16, 16), 'visual.blocks.0.attn.rope.freqs_sin': torch.ones(4)},
])
def test_original_eva_formats(wrap, tmp_path):
    torch.save(wrap(golden('sd/')), tmp_path / 'eva.pt')
    from_file, from_dict = tiny_eva(1), tiny_eva(2)
    load_clip_checkpoint(from_file, tmp_path / 'eva.pt')
    load_clip_checkpoint(from_dict, wrap(golden('sd/')))
    assert same(from_file, from_dict)


@pytest.mark.parametrize('build', [tiny_eva, tiny_vit])
@pytest.mark.parametrize('layout', ['ours', 'mmdet', 'clip'])
def test_export_and_reload(build, layout):
    tower, other = build(1), build(2)
    load_clip_checkpoint(other, export_state_dict(tower, layout))
    assert same(tower, other)


def test_export_restores_the_original_keys_and_values():
    tower, weights = tiny_eva(), golden('sd/')
    load_clip_checkpoint(tower, weights)
    exported = export_state_dict(tower, 'clip')
    assert exported.keys() == weights.keys()
    assert all(torch.equal(exported[key], weights[key]) for key in weights)


def test_timm_format():
    tower, other = tiny_eva(1), tiny_eva(2)
    load_clip_checkpoint(other, dict(tower.vit.state_dict()))
    assert same(tower, other)


@torch.no_grad()
@pytest.mark.parametrize('name, build', [('EVA02-B-16', EVACLIPViT), ('ViT-B-16-quickgelu', CLIPViT)])
def test_open_clip_models(name, build):
    theirs, ours = open_clip.create_model(name).eval(), build().eval()
    load_clip_checkpoint(ours, theirs.state_dict())
    image = torch.randn(1, 3, 224, 224)
    assert (ours.encode_image(image) - theirs.encode_image(image)).abs().max() < 1e-5
    visual = {key: value for key, value in theirs.state_dict().items() if key.startswith('visual.')}
    if name == 'ViT-B-16-quickgelu':
        exported = export_state_dict(ours, 'clip')
        assert exported.keys() == visual.keys()
        assert all(torch.equal(exported[key], visual[key]) for key in visual)


def test_openai_torchscript_archive(tmp_path):
    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = torch.nn.Module()
            for key, value in export_state_dict(tiny_vit(), 'clip').items():
                parent = self.visual
                *path, name = key.removeprefix('visual.').split('.')
                for part in path:
                    if not hasattr(parent, part):
                        parent.add_module(part, torch.nn.Module())
                    parent = getattr(parent, part)
                parent.register_buffer(name, value)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.script(Holder()).save(tmp_path / 'ViT.pt')
    other = tiny_vit(2)
    load_clip_checkpoint(other, tmp_path / 'ViT.pt')
    assert same(tiny_vit(), other)


def without(key):
    return {k: v for k, v in golden('sd/').items() if k != key}


@pytest.mark.parametrize('weights, expected', [
    (without('visual.norm.bias'), 'missing keys norm.bias'),
    ({**golden('sd/'), 'visual.extra': torch.ones(1)}, 'unknown keys extra'),
    ({**golden('sd/'), 'neck.weight': torch.ones(1)}, r"unknown keys \['neck.weight'\]"),
    ({**golden('sd/'), 'visual.head.bias': torch.ones(7)}, r'head.bias is \(7,\), expected \(24,\)'),
    ({'fc.weight': torch.ones(1)}, r"no vision tower in the keys \['fc.weight'\]"),
    ({'state_dict': golden('sd/'), 'meta': {'readout': 'vanilla'}}, "trained with readout 'vanilla'"),
])
def test_a_checkpoint_that_does_not_fit(weights, expected):
    with pytest.raises(CheckpointError, match=expected):
        load_clip_checkpoint(tiny_eva(), weights)


def test_meta_travels():
    assert checkpoint_meta(tiny_eva()) == {'backbone': 'EVACLIPViT', 'readout': 'value'}


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file; give'):
        load_clip_checkpoint(tiny_eva(), tmp_path / 'nothing.pt')
    (tmp_path / 'text.pt').write_text('not a checkpoint')
    (tmp_path / 'text.safetensors').write_text('not a checkpoint')
    for name in ('text.pt', 'text.safetensors'):
        with pytest.raises(CheckpointError, match=f'{name}: cannot be read as weights'):
            read_checkpoint(tmp_path / name)
    torch.save({'code': test_bad_files}, tmp_path / 'code.pt')
    with pytest.raises(CheckpointError, match='cannot be read as weights'):
        read_checkpoint(tmp_path / 'code.pt')


def test_unknown_open_clip_tag_is_refused_without_network():
    with pytest.raises(CheckpointError, match='found no such model and tag'):
        load_clip_checkpoint(tiny_eva(), 'open_clip::EVA02-B-16/nothing')
