"""What is published is read back with nothing else given, by this package and by open_clip."""
import json

import numpy as np
import open_clip
import pytest
import torch
from mmengine.config import Config
from safetensors import safe_open

import rsc_mm
from rsc_mm.apis.publishing import publish
from rsc_mm.models.text import CLIPTextEncoder
from rsc_mm.utils.checkpoint import CheckpointError, export_state_dict, load_clip_checkpoint, read_checkpoint
from tests.towers import GOLDEN_ARCH, tiny_eva, tiny_vit

TEXT = dict(embed_dim=24, context_length=24, width=16, heads=2, layers=2)
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
NAMES = ['dog', 'cat', 'sky']


def build(folder, kind, text_arch):
    """Tower weights, a CLIP file that lends its text tower, and the configuration of both."""
    tower = tiny_eva() if kind == 'EVACLIPViT' else tiny_vit()
    torch.manual_seed(1)
    text = CLIPTextEncoder(text_arch, None).tower.state_dict()
    torch.save({'meta': {}, 'state_dict': export_state_dict(tower, 'mmdet')}, folder / 'tower.pth')
    lent = {**{f'text.{key}': value for key, value in text.items()}, 'logit_scale': torch.tensor(3.)}
    torch.save({**lent, 'visual.head.weight': torch.zeros(3)}, folder / 'clip.pt')
    arch = {key: value for key, value in GOLDEN_ARCH.items() if kind == 'EVACLIPViT' or key != 'ref_feat_shape'}
    return Config(dict(
        model=dict(
            type='CLIPSelf',
            backbone=dict(type=kind, arch=arch, frozen_stages=0, init_cfg=dict(type='Pretrained', checkpoint='x.pt')),
            data_preprocessor=dict(type='RegionPreprocessor', image_size=128, crop_size=64, patch_size=16,
                                   mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.3])),
        val_evaluator=[dict(type='Other'), dict(class_embeddings=dict(
            names='coco', prompts='single', text_encoder=dict(arch=text_arch, checkpoint='y.pt')))]))


@pytest.fixture(scope='module')
def eva(tmp_path_factory):
    folder = tmp_path_factory.mktemp('eva')
    return folder, build(folder, 'EVACLIPViT', TEXT)


@pytest.fixture(scope='module')
def reference(eva):
    """Found by the configuration, with the text tower beside it."""
    folder, config = eva
    config.dump(folder / 'config.py')
    return rsc_mm.load(folder / 'config.py', 'cpu', checkpoint=folder / 'tower.pth', text_checkpoint=folder / 'clip.pt')


@pytest.mark.parametrize('name', ['tower.pt', 'tower.safetensors', 'folder'])
def test_a_published_clip_says_what_it_is(eva, reference, name):
    folder, config = eva
    publish(config, folder / 'tower.pth', folder / 'out' / name, folder / 'clip.pt')
    model = rsc_mm.load(folder / 'out' / name, device='cpu')
    assert (model.image_size, model.tower.readout_config) == (128, 'value')
    assert model.temperature == pytest.approx(np.exp(-3))
    np.testing.assert_allclose(model.encode_dense(IMAGE), reference.encode_dense(IMAGE), atol=1e-6)
    scores = [m.classify_regions(IMAGE, [[0, 0, 40, 40]], NAMES).scores for m in (model, reference)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    assert model.preprocessor.shift.flatten().tolist() == pytest.approx([-2.5, -2., -1.])


@pytest.mark.parametrize('name', ['alone.pth', 'alone.safetensors', 'alone'])
def test_without_its_text_tower_a_file_asks_for_it(eva, reference, name):
    folder, config = eva
    publish(config, folder / 'tower.pth', folder / name)
    model = rsc_mm.load(folder / name, device='cpu')
    np.testing.assert_allclose(model.encode_dense(IMAGE), reference.encode_dense(IMAGE), atol=1e-6)
    with pytest.raises(CheckpointError, match=r"alone.*: found no text tower in it, .* text_checkpoint='CLIP.pt'"):
        model.class_map(IMAGE, NAMES)
    model = rsc_mm.load(folder / name, device='cpu', text_checkpoint=folder / 'clip.pt')
    assert (model.class_map(IMAGE, NAMES).labels == reference.class_map(IMAGE, NAMES).labels).all()


@pytest.mark.parametrize('name', ['readout.pth', 'readout.safetensors', 'readout'])
def test_a_readout_travels_with_its_fields_and_parameters(eva, tmp_path, name):
    folder, config = eva
    config = Config(dict(model=dict(config.model, backbone=dict(
        config.model.backbone, readout=dict(type='hsg', num_layers=3, project='once')))))
    tower = tiny_eva(readout=dict(type='hsg', num_layers=3, project='once'))
    torch.save({'state_dict': export_state_dict(tower, 'mmdet'),
                'meta': dict(readout=tower.readout_config)}, tmp_path / 'tower.pth')
    publish(config, tmp_path / 'tower.pth', tmp_path / name)
    model = rsc_mm.load(tmp_path / name, device='cpu')
    assert model.tower.readout_config == tower.readout_config
    image = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        assert torch.equal(model.tower.encode_dense(image), tower.encode_dense(image))


def test_safetensors_holds_strings(eva):
    folder, config = eva
    publish(config, folder / 'tower.pth', folder / 'strings.safetensors')
    with safe_open(folder / 'strings.safetensors', 'pt') as file:
        meta = file.metadata()
    assert meta['backbone'] == 'EVACLIPViT' and meta['readout'] == 'value' and json.loads(meta['arch'])['depth'] == 4
    assert json.loads(meta['text_arch']) == TEXT and json.loads(meta['mean']) == [0.5, 0.4, 0.3]


def test_nothing_is_overwritten_unless_asked(eva):
    folder, config = eva
    out = folder / 'there.pth'
    out.write_text('mine')
    with pytest.raises(FileExistsError, match='there.pth: is there already; .* --overwrite'):
        publish(config, folder / 'tower.pth', out)
    assert out.read_text() == 'mine'
    publish(config, folder / 'tower.pth', out, overwrite=True)
    load_clip_checkpoint(tiny_eva(), out)
    with pytest.raises(FileExistsError, match='eva.*: is there already'):
        publish(config, folder / 'tower.pth', folder)


def test_weights_that_are_not_finite_are_refused(eva, tmp_path):
    folder, config = eva
    weights = read_checkpoint(folder / 'tower.pth')['state_dict']
    weights['backbone.vit.norm.bias'][3] = torch.nan
    torch.save({'state_dict': weights}, tmp_path / 'ruined.pth')
    with pytest.raises(CheckpointError, match='not finite in .*norm.bias'):
        publish(config, tmp_path / 'ruined.pth', tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


def test_a_lent_text_tower_brings_no_image_tower(eva, tmp_path):
    """The text of a file in this package's keys once brought its image tower along, which was then read."""
    folder, config = eva
    lender = {**read_checkpoint(folder / 'clip.pt'), **{key: value + 1 for key, value in export_state_dict(
        tiny_eva(), 'ours').items()}}
    torch.save({'state_dict': lender}, tmp_path / 'lender.pt')
    publish(config, folder / 'tower.pth', tmp_path / 'out.pt', tmp_path / 'lender.pt')
    weights = read_checkpoint(tmp_path / 'out.pt')['state_dict']
    assert not any(key.startswith('vit.') for key in weights)
    tower = tiny_eva(seed=3)
    load_clip_checkpoint(tower, tmp_path / 'out.pt')
    assert torch.equal(tower.vit.norm.bias, tiny_eva().vit.norm.bias)


@pytest.mark.parametrize(('name', 'clip', 'message'), [
    ('tower.bin', None, "found the ending '.bin', expected one of"),
    ('tower.pth', 'clip.pt', '--clip belongs to a .pt or .safetensors file or a folder'),
    ('tower.pt', 'tower.pth', 'found no text tower')])
def test_bad_requests(eva, tmp_path, name, clip, message):
    folder, config = eva
    with pytest.raises(ValueError, match=message):
        publish(config, folder / 'tower.pth', tmp_path / name, clip and folder / clip)
    assert not list(tmp_path.iterdir())


def test_open_clip_reads_the_folder(tmp_path):
    text_arch = {**TEXT, 'quick_gelu': True}
    config = build(tmp_path, 'CLIPViT', text_arch)
    card = dict(recipe='CLIPSelf', original='`tiny`, licence: mit', metrics={'boxes_top1': 71.25}, licence='MIT')
    publish(config, tmp_path / 'tower.pth', tmp_path / 'hub', tmp_path / 'clip.pt', card=card)
    assert sorted(path.name for path in (tmp_path / 'hub').iterdir()) == [
        'README.md', 'config.json', 'open_clip_config.json', 'open_clip_model.safetensors']
    other = open_clip.create_model(f'local-dir:{tmp_path / "hub"}').eval()
    ours = rsc_mm.load(tmp_path / 'hub', device='cpu')
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other.encode_image(image), ours.tower.encode_image(image), rtol=1e-4, atol=1e-5)
        tokens = open_clip.tokenize(['a photo of a dog.'], context_length=24)
        text = other.encode_text(tokens, normalize=True)
    torch.testing.assert_close(text, ours.texts(['dog']), rtol=1e-4, atol=1e-5)
    assert other.logit_scale.item() == 3
    page = (tmp_path / 'hub' / 'README.md').read_text()
    assert 'license: mit' in page and '| boxes_top1 | 71.25 |' in page and "rsc_mm.load('hub')" in page
    assert '| original tower | `tiny`, licence: mit |' in page and '| teacher | not stated |' in page
    assert '| data | not stated |' in page and str(tmp_path) not in page


def test_what_cannot_be_loaded_is_named(eva, tmp_path):
    folder, config = eva
    with pytest.raises(FileNotFoundError, match='nothing.pt: no such file'):
        rsc_mm.load(tmp_path / 'nothing.pt')
    with pytest.raises(CheckpointError, match=r"tower.pth: found no \['backbone', 'arch', 'readout'\] in its metadata"):
        rsc_mm.load(folder / 'tower.pth')
    torch.save(dict(meta=dict(time='20261126_021322', epoch=3), state_dict={}), tmp_path / 'iter_750.pth')  # MMEngine's
    with pytest.raises(CheckpointError, match=r"iter_750.pth: found no \['backbone', 'arch', 'readout'\] in its metad"):
        rsc_mm.load(tmp_path / 'iter_750.pth')
    with pytest.raises(ValueError, match='found .* and no last_checkpoint, expected a folder with config.json'):
        rsc_mm.load(tmp_path)
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(CheckpointError, match=r"config.json: found KeyError 'rsc_mm', expected a json with 'rsc_mm'"):
        rsc_mm.load(tmp_path)
    (tmp_path / 'no_tower.py').write_text('model = dict(type="X")')
    with pytest.raises(ValueError, match="no_tower.py, field 'model.backbone': found nothing"):
        rsc_mm.load(tmp_path / 'no_tower.py')
    with pytest.raises(ValueError, match='checkpoint: found x.pt beside .*, expected it beside a configuration'):
        rsc_mm.load(folder / 'tower.pth', checkpoint='x.pt')


def test_a_work_directory_gives_its_last_checkpoint(eva, reference, tmp_path):
    folder, config = eva
    config.dump(tmp_path / 'run.py')
    weights = read_checkpoint(folder / 'tower.pth')
    torch.save(weights, tmp_path / 'epoch_6.pth')
    (tmp_path / 'last_checkpoint').write_text('elsewhere/run/epoch_6.pth')
    model = rsc_mm.load(tmp_path, device='cpu')
    np.testing.assert_allclose(model.encode_dense(IMAGE), reference.encode_dense(IMAGE), atol=1e-6)
