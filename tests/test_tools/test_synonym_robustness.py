import json
import sys

import pytest
import torch
from mmengine.config import Config

from rsc_mm.apis.analysis.synonyms import rename_classes, synonym_robustness
from rsc_mm.models.text import read_aliases, read_class_names

from .common import load_tool

pytestmark = pytest.mark.slow  # trains, or starts whole programs

CLIP = 'projects/shapes_clip/shapes_clip.pt'
TRAP = {'circle': 'square', 'square': 'circle'}
"""Not synonyms but traps: a metric that reads them must fall."""


@pytest.fixture
def options(shapes_root, tmp_path) -> dict:
    return {'test_dataloader.dataset.data_root': str(shapes_root), 'work_dir': str(tmp_path),
            'test_evaluator.class_embeddings.cache_dir': str(tmp_path)}


@pytest.mark.slow
def test_region_classification_with_other_names(options):
    found = synonym_robustness('configs/shapes/region_classification.py', CLIP, TRAP, options)
    own, other = found['thing_crops_top1']
    assert own > other and found['stuff_crops_top1'][0] == found['stuff_crops_top1'][1]


@pytest.mark.slow
def test_segmentation_with_other_names_by_the_tool(options, tmp_path, monkeypatch, capsys):
    pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
    pytest.importorskip('mmseg', reason='needs mmseg')
    names = tmp_path / 'names.json'
    names.write_text(json.dumps(dict(names=['stripes', 'waves'], aliases=dict(stripes='waves', waves='stripes'))))
    out = tmp_path / 'out.json'
    fields = ['model.class_embeddings.cache_dir', 'work_dir', 'test_dataloader.dataset.data_root']
    values = [tmp_path, tmp_path, options['test_dataloader.dataset.data_root']]
    monkeypatch.setattr(sys, 'argv', ['tool', 'configs/shapes/maskclip_shapes.py', CLIP, '--names', str(names), '--out',
                                      str(out), '--cfg-options', *map('{}={}'.format, fields, values)])
    load_tool('analysis/synonym_robustness').main()
    said = capsys.readouterr().out
    assert '| own names | other names | difference |' in said and '| mIoU |' in said and 'No metric changed' not in said
    assert json.loads(out.read_text())['mIoU']['own'] > json.loads(out.read_text())['mIoU']['other']


def test_every_kind_of_evaluation_takes_other_names():
    for path in ('evaluation/region_classification_vitb16', 'fvit/fvit_vitb16_ovcoco',
                 'segmentation/maskclip_vitb16_voc21'):
        config = Config.fromfile(f'configs/{path}.py')
        assert rename_classes(config._cfg_dict, {'person': 'human being'}) >= 1
        assert 'human being' in str(config._cfg_dict)
    vocabulary = dict(type='rsc_mm.VocabularyEncoder', classes='voc20', aliases=dict(boat='ship'))
    assert rename_classes(vocabulary, {'person': 'human being'}) == 1
    assert vocabulary['classes'] == 'voc20' and vocabulary['aliases'] == dict(boat='ship', person='human being')


def test_other_names_change_the_texts_of_catseg_and_no_label():
    pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
    pytest.importorskip('mmseg', reason='needs mmseg')
    from tests.test_models.test_segmentors.tiny import CLASSES, build, tiny_config
    texts = []
    for aliases in ({}, {'cat': 'sky', 'sky': 'cat'}):
        config = tiny_config()
        assert rename_classes(config, aliases) == 1
        torch.manual_seed(0)
        model = build(config).eval()
        assert model.classes == tuple(CLASSES)
        texts.append(model.decode_head.vocabulary())
    order = [4, 1, 2, 3, 0, 5, 6]
    torch.testing.assert_close(texts[1], texts[0][order])


def test_the_list_of_coco_has_another_name_for_each_class():
    names, aliases = read_class_names('coco_panoptic'), read_aliases('coco_panoptic_synonyms')
    assert list(aliases) == names == read_class_names('coco_panoptic_synonyms')
    assert len(set(aliases.values())) == 133 and not set(aliases.values()) & set(names)


def test_what_cannot_be_renamed_is_said():
    with pytest.raises(ValueError, match="names coco_base: found no 'aliases', expected a .json file"):
        synonym_robustness('configs/shapes/region_classification.py', CLIP, 'coco_base')
