"""The eight benchmarks: labels of the vocabulary are those of the data set, and the headers say what is configured."""
import re

import pytest
from mmengine.config import Config

from rsc_mm.models.text import class_queries, read_aliases, read_class_names
from tests.test_tools.common import REPOSITORY

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from mmseg.registry import DATASETS  # noqa: E402

FOLDER = REPOSITORY / 'configs' / 'segmentation'
CLASSES = dict(ade20k=150, cityscapes=19, coco_object=81, coco_stuff=171, context59=59, context60=60, voc20=20,
               voc21=21)


def load(name: str) -> Config:
    return Config.fromfile(FOLDER / f'maskclip_vitb16_{name}.py')


@pytest.mark.parametrize('name, count', CLASSES.items())
def test_labels_of_vocabulary_and_data_set_mean_the_same(name, count):
    config = load(name)
    data = config.test_dataloader.dataset
    classes = data.get('metainfo', DATASETS.get(data.type).METAINFO)['classes']
    spelled = {'table': 'diningtable'} if name.startswith('context') else {}  # mmseg's spelling
    names, texts = class_queries(config.model.classes, read_aliases(config.model.classes))
    assert names == [spelled.get(label.strip(), label.strip()) for label in classes] and len(names) == count
    assert config.model.get('background') in (None, 'background')
    assert ('background' in names) == (config.model.get('background') is not None) and all(texts)


@pytest.mark.parametrize('name', CLASSES)
def test_the_header_says_size_window_stride_scale_and_threshold(name):
    config, text = load(name), (FOLDER / f'maskclip_vitb16_{name}.py').read_text()
    side = config.test_dataloader.dataset.pipeline[1]['scale'][1]
    assert f'short side {side} px; windows of {config.model.window} px at stride {config.model.stride}' in text
    assert f'logit scale {config.model.logit_scale:g}' in text
    threshold = config.model.get('threshold')
    assert f'threshold {threshold}' in text if threshold else 'no background' in text
    row = re.search(rf'^\| `maskclip_vitb16_{name}.py` \|(.+)\|$', (FOLDER / 'README.md').read_text(), re.M)[1]
    cells = [cell.strip() for cell in row.split('|')]
    assert cells[0] == str(CLASSES[name]) and cells[2] == str(side) and cells[4] == f'{config.model.logit_scale:g}'
    assert (f'threshold {threshold}' in cells[5]) == bool(threshold)


def test_synonyms_and_backgrounds_of_the_lists():
    names, texts = class_queries('voc21', read_aliases('voc21'))
    assert len(texts[0]) == 26 and texts[names.index('tvmonitor')][:2] == ['television monitor', 'tv monitor']
    names, texts = class_queries('coco_object', read_aliases('coco_object'))
    assert len(texts[0]) == 26 and texts[1][-1] == 'body'
    assert read_class_names('pc60')[1:] == read_class_names('pc59')
