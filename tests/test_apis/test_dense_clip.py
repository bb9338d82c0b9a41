"""The five lines of Python: the same figures as evaluation, on any image, box, mask and name."""
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import rsc_mm
from rsc_mm.apis import load_config
from rsc_mm.apis.evaluation_data import evaluation_dataset
from rsc_mm.datasets import region_collate
from rsc_mm.registry import MODELS
from tests.test_tools.common import REPOSITORY

CLIP = REPOSITORY / 'projects/shapes_clip/shapes_clip.pt'
CONFIG = REPOSITORY / 'configs/shapes/region_classification.py'
NAMES = ['circle', 'square', 'star', 'heart', 'dots', 'waves']


@pytest.fixture(scope='module')
def model():
    return rsc_mm.load(CLIP, device='cpu')


@pytest.fixture(scope='module')
def photos():
    """Three images of different shapes."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 70, 3), (90, 33, 3), (64, 64, 3))]


@pytest.fixture(scope='module')
def evaluated(shapes_root):
    """The first val scene with its regions, and the features that evaluation pools from it without padding."""
    config = load_config(CONFIG)
    config.test_dataloader.dataset.data_root = str(shapes_root)
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(CLIP))
    config.model.data_preprocessor.layout = 'rectangle'
    encoder = MODELS.build({**config.model, '_scope_': 'rsc_mm'}).eval()
    encoder.init_weights()
    batch = region_collate([evaluation_dataset(config)[0]])
    with torch.no_grad():
        sample, = encoder.predict(**encoder.data_preprocessor(batch))
    return batch['inputs'][0], sample


def test_boxes_and_masks_have_the_features_of_the_evaluation(model, evaluated):
    image, sample = evaluated
    boxes = model.classify_regions(image, sample.boxes, NAMES)
    np.testing.assert_allclose(boxes.features, sample.box_features.numpy(), atol=1e-5)
    masks = model.classify_regions(image, sample.masks.bool(), NAMES)
    np.testing.assert_allclose(masks.features, sample.mask_features.numpy(), atol=1e-5)
    crops = sample.crop_boxes.round().int().tolist()
    cut = [image[:, y1:y2, x1:x2] for x1, y1, x2, y2 in crops]
    np.testing.assert_allclose(model.encode_image(cut), sample.crop_features.numpy(), atol=1e-5)


def test_scores_are_the_softmax_of_cosines_over_the_temperature(model, evaluated):
    image, sample = evaluated
    found = model.classify_regions(image, sample.boxes, NAMES)
    cosines = found.features @ model.texts(NAMES).numpy().T
    expected = np.exp(cosines / model.temperature)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    assert found.names == [NAMES[i] for i in cosines.argmax(axis=1)] and found.labels.tolist() == [
        NAMES.index(name) for name in found.names]
    assert model.temperature == pytest.approx(0.0331, abs=1e-4)  # the CLIP's own, from its logit_scale
    again = rsc_mm.load(CLIP, device='cpu')
    again.temperature = 1.
    assert again.classify_regions(image, sample.boxes, NAMES).scores.std() < found.scores.std()
    with pytest.raises(ValueError, match='temperature: found 0, expected a positive number'):
        again.temperature = 0


def test_a_list_gives_what_each_image_gives(model, photos):
    dense, images = model.encode_dense([*photos, photos[0]]), model.encode_image(photos)
    for image, found, whole in zip(photos, dense, images):
        np.testing.assert_allclose(found, model.encode_dense(image), atol=1e-5)
        np.testing.assert_allclose(whole, model.encode_image(image), atol=1e-5)
    np.testing.assert_allclose(dense[3], dense[0], atol=1e-5)
    assert images.shape == (3, 128) and model.encode_image([]).shape == (0, 128) and model.encode_dense([]) == []
    np.testing.assert_allclose(np.linalg.norm(dense[0], axis=0), 1, atol=1e-5)


def test_a_list_gives_a_list_of_results(model, photos):
    for image, found in zip(photos, model.class_map(photos, NAMES)):
        assert (found.labels == model.class_map(image, NAMES).labels).all()
    boxes = [[[1, 1, 20, 20]], np.array([2, 3, 30, 40]), [[0, 0, 9, 9], [5, 5, 60, 60]]]
    points = [(3, 4), (5, 6), (7, 8)]
    for image, own, found in zip(photos, boxes, model.classify_regions(photos, boxes, NAMES)):
        np.testing.assert_allclose(found.scores, model.classify_regions(image, own, NAMES).scores)
    for image, own, found in zip(photos, points, model.affinity(photos, points)):
        np.testing.assert_allclose(found.cosines, model.affinity(image, own).cosines)
    assert model.class_map([], NAMES) == []
    with pytest.raises(ValueError, match='regions: found 2 entries for a list of 3 images, expected one for each'):
        model.classify_regions(photos, boxes[:2], NAMES)
    with pytest.raises(ValueError, match='point: found 2 entries for a list of 3 images'):
        model.affinity(photos, (3, 4))


def test_without_a_detector_detect_says_what_to_load(model, photos):
    with pytest.raises(ValueError, match="detect: found a tower without a detector, .*checkpoint='epoch_3.pth'"):
        model.detect(photos[0], NAMES)


def test_rectangles_keep_their_aspect(model, photos):
    assert [dense.shape for dense in model.encode_dense(photos)] == [(128, 10, 16), (128, 16, 6), (128, 16, 16)]
    for image in photos:
        found = model.class_map(image, NAMES)
        assert found.labels.shape == image.shape[:2] and found.scores.shape[1:] == model.encode_dense(image).shape[1:]
        np.testing.assert_allclose(found.scores.sum(axis=0), 1, atol=1e-5)
    # Twice as large by repeating pixels: the same picture to the network, and the same classes in twice the pixels.
    large = np.array(Image.fromarray(photos[2]).resize((128, 128), Image.Resampling.BICUBIC))
    agree = model.class_map(large, NAMES).labels == model.class_map(photos[2], NAMES).labels.repeat(2, 0).repeat(2, 1)
    assert agree.mean() > 0.9


def test_class_map_is_the_argmax_of_upsampled_cosines(model, photos):
    found = model.class_map(photos[0], NAMES)
    cosines = np.einsum('td,dhw->thw', model.texts(NAMES).numpy(), model.encode_dense(photos[0]))
    pixels = torch.nn.functional.interpolate(torch.from_numpy(cosines)[None], scale_factor=8, mode='bilinear')
    pixels = pixels[:, :, :73]  # 128 x 73 after resizing, padded to 80
    expected = torch.nn.functional.interpolate(pixels, photos[0].shape[:2], mode='bilinear')[0].argmax(0)
    assert (found.labels == expected.numpy()).mean() > 0.999
    assert sum(found.shares.values()) == pytest.approx(1)


def test_synonyms_are_one_class_with_the_better_name(model, photos):
    apart = model.classify_regions(photos[0], [5, 5, 60, 35], ['circle', 'star', 'heart'])
    joined = model.classify_regions(photos[0], [5, 5, 60, 35], ['circle; star', 'heart'])
    assert joined.classes == ['circle', 'heart']
    np.testing.assert_allclose(joined.scores[0], [apart.scores[0, :2].max(), apart.scores[0, 2]], atol=1e-6)


def test_exif_turns_image_and_coordinates(model, photos, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(photos[0])).save(tmp_path / 'turned.png', exif=exif)
    found = model.classify_regions(tmp_path / 'turned.png', [[5, 5, 60, 35]], NAMES)
    assert found.image.shape == photos[0].shape and (found.image == photos[0]).all()
    np.testing.assert_allclose(found.scores, model.classify_regions(photos[0], [[5, 5, 60, 35]], NAMES).scores)


def test_a_mask_of_a_box_is_near_its_box_and_a_tiny_one_has_no_name(model, photos):
    mask = np.zeros((2, 64, 64), bool)
    mask[0, 16:48, 8:40] = mask[1, 5, 4] = True  # the pixel lies between the centres of tokens
    found = model.classify_regions(photos[2], mask, NAMES)
    box = model.classify_regions(photos[2], [8, 16, 40, 48], NAMES)
    assert found.features[0] @ box.features[0] > 0.95
    assert found.names[1] is None and found.labels[1] == -1 and not found.scores[1].any()
    assert found.picture().size == (448, 448)


def test_affinity_is_one_at_the_point(model, photos):
    found = model.affinity(photos[0], (35, 20))
    assert found.cosines.shape == (40, 70) and found.tokens.shape == (10, 16)
    assert found.tokens.max() == pytest.approx(1, abs=1e-5) and found.tokens[4, 8] == found.tokens.max()
    with pytest.raises(ValueError, match='found x,y = 70,20, expected x in 0..69'):
        model.affinity(photos[0], (70, 20))


def test_retrieval_orders_images_by_their_embedding(model, photos):
    found = model.retrieve(photos, 'star; heart')
    scores = (model.encode_image(photos) @ model.texts(['star', 'heart']).numpy().T).max(axis=1)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    assert model.retrieve(np.stack([photos[2], photos[2]]), 'star').order.tolist() == [0, 1]
    with pytest.raises(ValueError, match='retrieve: found no images'):
        model.retrieve([], 'star')
    assert found.order.tolist() == np.argsort(-scores).tolist() and "by 'star; heart'" in repr(found)


def test_no_region_and_names_are_asked_for_once(model, photos, monkeypatch):
    empty = model.classify_regions(photos[0], np.zeros((0, 4)), NAMES)
    assert empty.scores.shape == (0, 6) and empty.names == [] and empty.features.shape == (0, 128)
    model.classify_regions(photos[0], [1, 1, 9, 9], NAMES)
    monkeypatch.setattr(model.texts, '_build', None)
    monkeypatch.setattr(model.texts.encoder, 'encode', None)  # the embeddings are in memory
    model.class_map(photos[0], NAMES[::-1])


def test_pictures_are_written(model, photos, tmp_path):
    results = [model.class_map(photos[0], NAMES), model.affinity(photos[0], (3, 4)), model.retrieve(photos, 'star'),
               model.classify_regions(photos[0], [[5, 5, 60, 35]], NAMES)]
    for i, result in enumerate(results):
        path = result.save(tmp_path / 'new' / f'{i}.png')
        with Image.open(path) as picture:
            assert picture.size == result.picture().size and min(picture.size) > 200
        assert result._repr_png_().startswith(b'\x89PNG') and repr(result)
    with pytest.raises(ValueError, match=r"a.txt: found the ending '.txt', expected that of a picture"):
        results[0].save(tmp_path / 'a.txt')


@pytest.mark.parametrize(('regions', 'message'), [
    ([[5, 5, 5, 9]], r'box 0: found \[5.0, 5.0, 5.0, 9.0\], expected x1 < x2'),
    ([[1, 1, 9, 9], [80, 0, 90, 9]], 'box 1: .* width x height is 70 x 40'),
    ([[1, 1, np.nan, 9]], 'box 0'),
    ([1, 2, 3], r'regions: found shape \(3,\)'),
    (np.zeros((2, 40, 70), bool), 'mask 0: found no pixel'),
    (np.ones((1, 70, 40), bool), r'masks: found \(70, 40\), expected the height and width of the image, \(40, 70\)'),
    (np.full((1, 40, 70), 7), 'found values up to 7')])
def test_regions_that_cannot_be_are_named(model, photos, regions, message):
    with pytest.raises(ValueError, match=message):
        model.classify_regions(photos[0], regions, NAMES)


@pytest.mark.parametrize(('names', 'message'), [
    ('sky, dog', r"names: found the text 'sky, dog', expected a list such as \['sky', ' dog'\]"),
    ([], 'found none'), (['sky', 'sky'], r"found \['sky'\] twice"), (['sky', 3], r'found \[3\]')])
def test_names_that_cannot_be_are_named(model, photos, names, message):
    with pytest.raises(ValueError, match=message):
        model.class_map(photos[0], names)


def test_needs_the_core_alone_and_leaves_the_process_as_it_was():
    code = f"""
import sys, torch, random, numpy
for name in ('mmcv', 'mmdet', 'mmseg', 'matplotlib'):
    sys.modules[name] = None
import rsc_mm.apis
state = torch.get_rng_state(), random.getstate(), torch.is_grad_enabled(), torch.get_num_threads()
model = rsc_mm.load({str(CLIP)!r}, device='cpu')
model.class_map(numpy.zeros((20, 30, 3), numpy.uint8), ['star', 'heart']).picture()
from mmengine.registry import DefaultScope
assert DefaultScope.get_current_instance() is None
assert torch.equal(torch.get_rng_state(), state[0])
assert random.getstate() == state[1] and torch.is_grad_enabled() == state[2] and torch.get_num_threads() == state[3]
"""
    subprocess.run([sys.executable, '-c', code], check=True, cwd=REPOSITORY)
