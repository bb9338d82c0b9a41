"""Twenty-two mistakes of users, from the annotation file to the checkpoint.

Each error names the file or the field, what was found and what was expected. The tests of each component hold more.
"""
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rsc_mm.datasets import RegionDataset
from rsc_mm.engine import WeightEnsembleHook
from rsc_mm.evaluation import RegionClassificationMetric
from rsc_mm.models import RegionPreprocessor
from rsc_mm.models.text import CLIPTextEncoder, read_class_names
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from tests.test_datasets.toy import coco, coco_root, write_json
from tests.towers import golden, tiny_eva


def dataset(root: Path, regions: str = 'ProposalRegions', **changes: object) -> RegionDataset:
    """A three-image dataset whose json has been changed."""
    coco_root(root)
    write_json(root / 'ann.json', coco(3, **changes))
    return RegionDataset(dict(type=regions), 'ann.json', str(root), 'images')


def cut(path: Path, size: int = 60) -> None:
    path.write_bytes(path.read_bytes()[:size])


def item_of_a_cut_image(root: Path) -> object:
    images = dataset(root)
    cut(root / 'images' / '1.jpg')
    return images[1]


def item_of_another_size(root: Path) -> object:
    changed = coco(3)['images']
    changed[1]['height'] = 31
    return dataset(root, images=changed)[1]


def item_of_a_missing_image(root: Path) -> object:
    images = dataset(root)
    (root / 'images' / '2.jpg').unlink()
    return images[2]


def json_cut_short(root: Path) -> object:
    coco_root(root)
    cut(root / 'ann.json')
    return RegionDataset(dict(type='GridRegions'), 'ann.json', str(root), 'images')


def box_of_three_numbers(root: Path) -> object:
    annotations = coco(3)['annotations']
    annotations[0]['bbox'] = [1, 2, 3]
    return dataset(root, annotations=annotations)


def box_of_unknown_image(root: Path) -> object:
    annotations = coco(3)['annotations']
    annotations[0]['image_id'] = 99
    return dataset(root, annotations=annotations)


def embeddings_of_too_few_classes(root: Path) -> object:
    metric = RegionClassificationMetric(torch.eye(2, 4))
    sample = dict(img_id=1, labels=torch.tensor([3]), is_thing=torch.tensor([True]), box_features=torch.ones(1, 4))
    metric.dataset_meta = {'classes': ('a', 'b')}
    return metric.process(None, [sample])


def text_checkpoint_as_text(root: Path) -> object:
    (root / 'clip.pt').write_text('version https://git-lfs')
    return CLIPTextEncoder('ViT-B-16', checkpoint=str(root / 'clip.pt'))


def checkpoint_without_a_key(root: Path) -> object:
    weights = golden('sd/')
    del weights['visual.norm.bias']
    torch.save(weights, root / 'clip.pt')
    return load_clip_checkpoint(tiny_eva(), root / 'clip.pt')


def checkpoint_of_another_readout(root: Path) -> object:
    torch.save({'state_dict': golden('sd/'), 'meta': {'readout': 'qq'}}, root / 'tower.pth')
    return load_clip_checkpoint(tiny_eva(), root / 'tower.pth')


def names_in_a_table(root: Path) -> object:
    (root / 'names.json').write_text(json.dumps({'cat': 1}))
    return read_class_names(root / 'names.json')


MISTAKES = {
    'json that is not there': (lambda root: RegionDataset(dict(type='GridRegions'), 'no.json', str(root)),
                               [r'no\.json', 'found no such file', 'expected']),
    'json cut short': (json_cut_short, [r'ann\.json', 'found no valid json', 'expected']),
    'json without images': (lambda root: dataset(root, images=None), [r'ann\.json', 'images', 'found', 'expected']),
    'box of three numbers': (box_of_three_numbers, [r'ann\.json', 'bbox', 'found', 'expected']),
    'box of an unknown image': (box_of_unknown_image, [r'ann\.json', 'image_id', 'found', '99', 'expected']),
    'folder without images': (lambda root: RegionDataset(dict(type='GridRegions'), None, str(root)),
                              ['found', 'no', 'expected']),
    'image that is missing': (item_of_a_missing_image, [r'2\.jpg']),
    'image cut short': (item_of_a_cut_image, [r'1\.jpg', 'max_bad_images: found 1', 'expected at most 0']),
    'image of another size': (item_of_another_size, [r'1\.jpg', '30', '31']),
    'unknown region source': (lambda root: dataset(root, 'CircleRegions'),
                              ["found 'CircleRegions'", 'expected', 'GridRegions']),
    'region source by its bare name': (lambda root: RegionDataset('GridRegions', data_root=str(root)),
                                       ["regions: found 'GridRegions'", 'expected a config such as dict']),
    'proposals without a file': (lambda root: RegionDataset(dict(type='ProposalRegions'), None, str(root)),
                                 ['ann_file: found None', 'expected', 'bbox']),
    'unknown layout': (lambda root: RegionPreprocessor(64, 32, 16, layout='round'),
                       ["layout: found 'round'", 'expected', 'square']),
    'image size no multiple of the patch': (lambda root: RegionPreprocessor(65, 32, 16),
                                            ['image_size: found 65', 'expected', '16']),
    'embeddings of too few classes': (embeddings_of_too_few_classes, ['class_embeddings: found 2', 'expected', '3']),
    'alpha above 1': (lambda root: WeightEnsembleHook(1.5), ["'alpha': found 1.5", 'expected']),
    'checkpoint that is no checkpoint': (text_checkpoint_as_text, [r'clip\.pt', 'expected']),
    'checkpoint without a key': (checkpoint_without_a_key, [r'clip\.pt', 'missing keys norm.bias', "'arch'"]),
    'checkpoint of another readout': (checkpoint_of_another_readout,
                                      [r'tower\.pth', "readout 'qq'", "has readout='value'"]),
    'unknown readout': (lambda root: tiny_eva(readout='qk'), ["'readout': found 'qk'", 'expected', 'value']),
    'class names in a table': (names_in_a_table, [r'names\.json', 'expected']),
    'embeddings that are no embeddings': (lambda root: _score(root), [r'e\.npy', 'expected']),
}


def _score(root: Path) -> object:
    np.save(root / 'e.npy', np.zeros(5, 'float32'))
    metric = RegionClassificationMetric(str(root / 'e.npy'))
    metric.dataset_meta = {'classes': ('a', 'b')}
    sample = dict(img_id=1, labels=torch.tensor([0]), is_thing=torch.tensor([True]), box_features=torch.ones(1, 4))
    return metric.process(None, [sample])


@pytest.mark.parametrize('mistake', MISTAKES)
def test_error_names_place_found_and_expected(mistake: str, tmp_path: Path) -> None:
    action: Callable[[Path], object]
    action, parts = MISTAKES[mistake]
    with pytest.raises(Exception) as caught:
        action(tmp_path)
    for part in parts:
        assert caught.match(part)
