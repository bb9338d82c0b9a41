import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from torch.nn import functional as F

from rsc_mm.models.heads import class_probabilities, label_map
from rsc_mm.registry import MODELS
from tests.towers import GOLDEN_ARCH, randomize

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from mmseg.structures import SegDataSample  # noqa: E402

import rsc_mm.models.segmentors  # noqa: E402, F401  registers the segmentor

CLASSES = ['cat', 'dog; puppy', 'sky']
PREPROCESSOR = dict(type='rsc_mm.RectangleSegPreProcessor', mean=[122.771, 116.746, 104.094],
                    std=[68.501, 66.632, 70.323], bgr_to_rgb=True)


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def embeddings(rows: int = 4, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, 24, generator=torch.Generator().manual_seed(seed)), dim=1)


def segmentor(kind: str = 'EVACLIPViT', patch: int = 16, readout: str = 'value', **fields: object) -> torch.nn.Module:
    arch = dict(GOLDEN_ARCH, patch_size=patch, img_size=4 * patch)
    if kind == 'CLIPViT':
        del arch['ref_feat_shape']
    fields = dict(classes=CLASSES, class_embeddings=embeddings(), data_preprocessor=PREPROCESSOR, **fields)
    model = MODELS.build(dict(type='rsc_mm.DenseCLIPSegmentor', **fields, backbone=dict(
        type=f'rsc_mm.{kind}', arch=arch, readout=readout)))
    randomize(model.backbone, 0)
    return model.eval()


def batch(sizes: list[tuple[int, int]], originals: list[tuple[int, int]] | None = None, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    images = [torch.from_numpy(generator.integers(0, 256, (3, *size), np.uint8)) for size in sizes]
    samples = [SegDataSample(metainfo=dict(ori_shape=original, img_shape=size))
               for size, original in zip(sizes, originals or sizes)]
    return dict(inputs=images, data_samples=samples)


@torch.no_grad()
def predict(model: torch.nn.Module, data: dict) -> list[torch.Tensor]:
    return [sample.pred_sem_seg.data[0] for sample in model.test_step(data)]


def test_a_slow_version_from_the_equation():
    """Every window of 32 px at stride 16, token by token, on a 48 x 64 image."""
    model = segmentor(window=32, stride=16, logit_scale=30., background='sky', threshold=0.4)
    data = batch([(48, 64)], [(60, 70)])
    found = predict(model, data)[0]
    image = model.data_preprocessor(data)['inputs']
    total, seen = torch.zeros(4, 48, 64), torch.zeros(48, 64)
    for y in (0, 16):
        for x in (0, 16, 32):
            dense = model.backbone.encode_dense(image[:, :, y:y + 32, x:x + 32])[0]
            cosine = torch.stack([sum(dense[d] * row[d] for d in range(24)) for row in embeddings()])
            total[:, y:y + 32, x:x + 32] += F.interpolate(cosine[None], (32, 32), mode='bilinear')[0]
            seen[y:y + 32, x:x + 32] += 1
    cosine = F.interpolate((total / seen)[None], (60, 70), mode='bilinear')[0]
    p = (30 * cosine).softmax(0)
    p = torch.stack([p[0], torch.maximum(p[1], p[2]), p[3]])
    expected = p.argmax(0)
    expected[p.amax(0) < 0.4] = 2
    assert found.shape == (60, 70) and (found == expected).float().mean() > 0.999
    assert (p.amax(0) < 0.4).any() and len(found.unique()) == 3


@pytest.mark.parametrize('kind, patch, readout, window', [
    ('EVACLIPViT', 16, 'value', None), ('EVACLIPViT', 14, 'vanilla', 40), ('CLIPViT', 14, 'csa', 40)])
def test_a_batch_of_rectangles_is_what_its_images_are_alone(kind, patch, readout, window):
    model = segmentor(kind, patch, readout, window=window)
    sizes, originals = [(50, 90), (64, 48), (50, 90)], [(77, 130), (64, 48), (25, 45)]
    together = predict(model, batch(sizes, originals))
    data = batch(sizes, originals)
    for i, (found, original) in enumerate(zip(together, originals)):
        alone = predict(model, dict(inputs=data['inputs'][i:i + 1], data_samples=data['data_samples'][i:i + 1]))[0]
        assert found.shape == original and torch.equal(found, alone)
    # Two of one size, in one pass.
    same = predict(model, dict(inputs=data['inputs'][::2], data_samples=data['data_samples'][::2]))
    for found, expected in zip(same, together[::2]):
        assert (found == expected).float().mean() > 0.999


def test_a_window_and_the_whole_differ_and_a_large_window_is_the_whole():
    data = batch([(64, 96)])
    whole, large, small = (segmentor(window=w)(segmentor().data_preprocessor(data)['inputs']) for w in (None, 200, 32))
    assert whole.shape == (1, 4, 64, 96) and torch.equal(whole, large) and not torch.allclose(whole, small, atol=1e-2)


def test_without_samples_the_inputs_are_the_images():
    model = segmentor()
    inputs = torch.randn(2, 3, 48, 33, generator=torch.Generator().manual_seed(0))
    found = model(inputs, mode='predict')
    cosines = model(inputs)
    for sample, scores in zip(found, cosines):
        expected = label_map(class_probabilities(scores, [1, 2, 1], 40.))
        assert (sample.pred_sem_seg.data[0] == expected).float().mean() > 0.999


def test_a_flipped_image_gives_a_map_of_the_unflipped():
    model, data = segmentor(), batch([(48, 64)])
    straight = predict(model, batch([(48, 64)]))[0]
    data['inputs'][0] = data['inputs'][0].flip(2)
    data['data_samples'][0].set_metainfo(dict(flip=True, flip_direction='horizontal'))
    assert predict(model, data)[0].shape == straight.shape
    cosines = [model(model.data_preprocessor(batch([(48, 64)]))['inputs'].flip(3)).flip(3)]
    expected = label_map(class_probabilities(cosines[0][0], [1, 2, 1], 40.))
    assert (predict(model, data)[0] == expected).float().mean() > 0.999


def test_the_vocabulary_changes_after_building_and_the_checkpoint_stays():
    model = segmentor(background='sky')
    keys = set(model.state_dict())
    assert model.classes == ('cat', 'dog', 'sky') and model.counts == [1, 2, 1] and model.background == 2
    assert model.dataset_meta['classes'] == model.classes and len(model.dataset_meta['palette']) == 3
    model.set_vocabulary(['a', 'b'], embeddings(2, seed=1))
    assert set(model.state_dict()) == keys and all(key.startswith('backbone.vit.') for key in keys)
    assert model.classes == ('a', 'b') and model.background is None
    assert max(predict(model, batch([(32, 32)]))[0].unique().tolist()) <= 1
    model.dataset_meta = dict(classes=('road', ), palette=[[0, 0, 0]])  # what mmseg's inferencer does
    assert model.dataset_meta['classes'] == ('a', 'b')


def test_nothing_trains():
    with pytest.raises(NotImplementedError, match='DenseCLIPSegmentor has nothing to train: distil its tower'):
        segmentor()(torch.zeros(1, 3, 32, 32), [], mode='loss')


@pytest.mark.parametrize('fields, message', [
    (dict(stride=8), "field 'stride': found 8 without a 'window'"),
    (dict(threshold=1.5), "fields 'threshold' and 'logit_scale': found 1.5"),
    (dict(background='sea'), "field 'background': found 'sea', expected one of the 3 classes"),
])
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        segmentor(**fields)


def test_embeddings_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match='found 3 rows without names, expected 4'):
        segmentor().set_vocabulary(CLASSES, embeddings(3))
    with pytest.raises(ValueError, match="found 5 channels, expected the tower's 24"):
        segmentor().set_vocabulary(['a'], torch.ones(1, 5))
    with pytest.raises(ValueError, match=r"classes: found \['dog'\] twice"):
        segmentor().set_vocabulary(['dog; puppy', 'dog'], embeddings(3))
