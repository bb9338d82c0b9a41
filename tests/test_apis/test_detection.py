import copy
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from pycocotools import mask as mask_utils

pytest.importorskip('mmdet')
import rsc_mm  # noqa: E402
from rsc_mm.apis.detection import Detector, load_detector  # noqa: E402
from rsc_mm.apis.detections import COLOURS, Detections  # noqa: E402
from rsc_mm.utils.checkpoint import CheckpointError  # noqa: E402
from tests.payload import hide_payload  # noqa: E402
from tests.test_models.test_detectors.tiny import BASE, CLASSES, tiny_config, tiny_fvit  # noqa: E402

PIPELINE = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]


@pytest.fixture(scope='module')
def config():
    return Config(dict(model=tiny_config(masks=True), default_scope='mmdet',
                       test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))


@pytest.fixture(scope='module')
def detector(config, tmp_path_factory):
    path = tmp_path_factory.mktemp('detector') / 'detector.pth'
    with DefaultScope.overwrite_default_scope('mmdet'):
        torch.save(dict(state_dict=tiny_fvit(masks=True).state_dict()), path)
    return load_detector(config, path, device='cpu')


def photo(height=60, width=80):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_boxes_and_masks_of_the_image(detector):
    found = detector.detect(photo(), score=0.)
    assert isinstance(detector, Detector) and detector.classes == found.classes == CLASSES
    assert len(found) and found.masks.shape == (len(found), 60, 80) and found.masks.dtype == bool
    assert (np.diff(found.scores) <= 0).all() and found.is_base.tolist() == [name in BASE for name in CLASSES]
    assert (found.boxes >= 0).all() and (found.boxes <= [80, 60, 80, 60]).all()
    assert len(detector.detect(photo(), score=1.)) == 0


@pytest.mark.parametrize('orientation', [3, 6])
def test_a_rotated_photo_is_upright(detector, tmp_path, orientation):
    """Stored pixels lie on their side: what is found, its boxes and the picture are of the photo as it is seen."""
    upright = Image.fromarray(photo(60, 80))
    turned = upright.transpose({3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / 'photo.png', exif=exif)
    found, expected = detector.detect(tmp_path / 'photo.png', score=0.), detector.detect(photo(60, 80), score=0.)
    assert np.array_equal(found.image, photo(60, 80)) and np.array_equal(found.boxes, expected.boxes)
    assert found.picture().size == (80, 60)


def test_colours_are_in_mmdets_order(detector, monkeypatch):
    """RGB pixels reach the network as BGR, as files do."""
    seen = []
    step = detector.model.test_step
    monkeypatch.setattr(detector.model, 'test_step', lambda data: seen.append(data['inputs'][0]) or step(data))
    detector.detect(np.full((96, 96, 3), (200, 100, 0), np.uint8))
    assert seen[0][:, 0, 0].tolist() == [0, 100, 200]


# pycocotools 2.0.11 about itself under NumPy 2, where masks are decoded.
@pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')
def test_lists_and_pictures(tmp_path):
    masks = np.zeros((2, 300, 400), bool)
    masks[0, 100:200, 10:150] = True
    boxes = np.array([[10., 100, 150, 200], [200, 100, 350, 200]], np.float32)
    found = Detections(np.zeros((300, 400, 3), np.uint8), boxes, np.array([0.9, 0.8], np.float32), np.array([1, 0]),
                       ['sun', 'cat'], np.array([False, True]), masks)
    picture = found.picture()
    assert picture.getpixel((150, 200)) == COLOURS[True] and picture.getpixel((350, 200)) == COLOURS[False]
    assert picture.getpixel((100, 180)) not in ((0, 0, 0), COLOURS[True])  # the mask, blended
    assert picture.getpixel((300, 180)) == (0, 0, 0)
    assert found.names == ['cat', 'sun'] and 'sun (novel)' in repr(found)
    rows = json.loads(json.dumps(found.to_list()))
    assert rows[0]['box'] == [10, 100, 150, 200] and rows[0]['base'] and not rows[1]['base']
    assert np.array_equal(mask_utils.decode(rows[0]['mask']).astype(bool), masks[0])
    assert not found.image.any()  # drawing does not change it
    assert found.save(tmp_path / 'found.png').is_file()


def test_code_in_a_checkpoint_does_not_run(config, tmp_path):
    with pytest.raises(CheckpointError, match='other.pth'):
        load_detector(config, hide_payload(None, tmp_path / 'other.pth', tmp_path / 'marker'), device='cpu')
    assert not (tmp_path / 'marker').exists()


def test_what_does_not_fit_is_named(config, detector, tmp_path):
    with pytest.raises(ValueError, match="field 'model.type': found 'CLIPSelf', expected 'rsc_mm.FViT', a detector"):
        load_detector('configs/shapes/clipself_grid.py', 'x.pth')
    weights = detector.model.state_dict()
    weights.pop('neck.up2.bias')
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'(?s)other.pth: found weights that do not fit, expected.*neck.up2.bias'):
        load_detector(config, tmp_path / 'other.pth')
    with pytest.raises(FileNotFoundError, match='checkpoint .*no.pth: no such file'):
        load_detector(config, tmp_path / 'no.pth')


def write_config(config, folder):
    """The configuration in a file, its embeddings beside it."""
    config = copy.deepcopy(config)
    np.save(folder / 'embeddings.npy', config.model.roi_head.bbox_head.class_embeddings.numpy())
    config.model.roi_head.bbox_head.class_embeddings = str(folder / 'embeddings.npy')
    config.dump(folder / 'config.py')


@pytest.fixture(scope='module')
def loaded(config, detector, tmp_path_factory):
    """The tiny detector as `rsc_mm.load` gives it: from the work directory of its training."""
    folder = tmp_path_factory.mktemp('work_dir')
    write_config(config, folder)
    torch.save(dict(state_dict=detector.model.state_dict()), folder / 'epoch_1.pth')
    (folder / 'last_checkpoint').write_text('epoch_1.pth')
    return rsc_mm.load(folder, device='cpu')


def test_load_gives_tower_and_detector(loaded, detector):
    found, expected = loaded.detect(photo(), score=0.), detector.detect(photo(), score=0.)
    assert np.array_equal(found.boxes, expected.boxes) and found.names == expected.names
    assert loaded.tower is loaded.detector.model.backbone and loaded.encode_dense(photo()).shape[0] == 24
    several = loaded.detect([photo(), photo(30, 30)], score=0.)
    assert np.array_equal(several[0].boxes, expected.boxes) and several[1].image.shape == (30, 30, 3)


def test_detect_by_name(loaded):
    with pytest.raises(ValueError, match=r"detect: found \['kite; dragon'\], several names for one class"):
        loaded.detect(photo(), ['cat', 'kite; dragon'])
    with pytest.raises(ValueError, match="names: found the text 'cat', expected a list"):
        loaded.detect(photo(), 'cat')
    before = loaded.detect(photo(), CLASSES, score=0.)
    with pytest.raises(ValueError, match='5 rows without names'):  # the tiny detector has no text tower
        loaded.detect(photo(), ['zebra'])
    after = loaded.detect(photo(), score=0.)
    assert loaded.detector.classes == CLASSES and np.array_equal(after.scores, before.scores)


def test_the_weights_of_a_tower_alone_give_no_detector(config, detector, tmp_path):
    write_config(config, tmp_path)
    tower = {key: value for key, value in detector.model.state_dict().items() if key.startswith('backbone.')}
    torch.save(dict(state_dict=tower), tmp_path / 'tower.pth')
    assert rsc_mm.load(tmp_path / 'config.py', 'cpu', checkpoint=tmp_path / 'tower.pth').detector is None
