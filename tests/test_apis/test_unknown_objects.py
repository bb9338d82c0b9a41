"""Pseudo boxes from proposals: every rule on a hand-made image, and the tool."""
import json

import pytest
import torch

from rsc_mm.apis.unknown_objects import CleaningRules, clean_proposals, find_unknown_objects
from rsc_mm.datasets.unknown_objects import read_unknown_objects
from tests.test_tools.common import load_tool

SHAPE = (100, 200)
PROPOSALS = {
    'kept': ([10, 10, 60, 60], 0.9), 'near a better one': ([15, 10, 65, 60], 0.8), 'small': ([150, 50, 190, 90], 0.95),
    'the whole image': ([0, 0, 200, 99], 0.99), 'thin': ([0, 70, 190, 90], 0.97),
    'annotated': ([100, 0, 150, 50], 0.98), 'kept too': ([140, 40, 190, 95], 0.3)}


def test_every_rule():
    boxes = torch.tensor([box for box, _ in PROPOSALS.values()]).double()
    scores = torch.tensor([score for _, score in PROPOSALS.values()]).double()
    annotated = torch.tensor([[100., 0, 145, 50]]).double()
    names = list(PROPOSALS)

    def kept(**rules):
        found = clean_proposals(boxes, scores, annotated, SHAPE, CleaningRules(**rules))
        return [names[i] for i in found]
    assert kept() == ['kept', 'kept too']
    assert kept(per_image=1) == ['kept']
    assert kept(min_area=1600) == ['small', 'kept']  # which is over the other
    assert kept(max_share=1) == ['the whole image', 'kept', 'kept too']
    assert kept(max_aspect=10) == ['thin', 'kept', 'kept too']
    assert kept(annotated_iou=1) == ['annotated', 'kept', 'kept too']
    assert kept(nms_iou=1) == ['kept', 'near a better one', 'kept too']


@pytest.fixture
def files(tmp_path):
    images = [dict(id=i, file_name=f'{i}.jpg', height=100, width=200) for i in (1, 2, 3)]
    known = [dict(id=1, image_id=1, category_id=1, bbox=[100, 0, 50, 50])]
    rows = [(1, [10, 10, 50, 50], 0.9), (1, [140, 40, 50, 55], 0.3), (2, [10, 10, 50, 50], 0.7),
            (2, [100, 0, 50, 50], 0.5), (8, [0, 0, 60, 60], 1.0)]  # image 8 is not in the annotations
    found = [dict(id=i, image_id=img, category_id=1, bbox=box, score=score) for i, (img, box, score) in enumerate(rows)]
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=images, annotations=known, categories=[])))
    (tmp_path / 'proposals.json').write_text(json.dumps(dict(images=[], annotations=found)))
    return tmp_path


def test_one_threshold_for_all_images(files):
    def weights(share):
        found = find_unknown_objects(files / 'proposals.json', files / 'ann.json', CleaningRules(share=share))
        return [(row['image_id'], row['weight']) for row in found]
    assert weights(1.) == [(1, 0.9), (1, 0.3), (2, 0.7), (2, 0.5)]
    assert weights(0.5) == [(1, 0.9), (2, 0.7)] and weights(0.01) == [(1, 0.9)]


def test_the_tool_writes_what_training_reads(files, monkeypatch, capsys):
    arguments = ['tools/data/generate_unknown_objects.py', str(files / 'proposals.json'), str(files / 'out.json'),
                 '--ann-file', str(files / 'ann.json'), '--share', '0.5']
    monkeypatch.setattr('sys.argv', arguments)
    tool = load_tool('data/generate_unknown_objects')
    tool.main()
    assert '2 pseudo boxes on 2 images' in capsys.readouterr().out
    assert json.loads((files / 'out.json').read_text())[0] == dict(
        image_id=1, bbox=[10, 10, 50, 50], category_id=-1, pseudo=1, weight=0.9)
    assert read_unknown_objects(files / 'out.json')[2][0].tolist() == [[10, 10, 50, 50]]
    tool.main()
    assert 'is there already' in capsys.readouterr().out
    monkeypatch.setattr('sys.argv', [*arguments[:-1], '0'])
    with pytest.raises(SystemExit, match='--share: found 0.0, expected a number above 0'):
        tool.main()


def test_bad_files(files):
    rules = CleaningRules()
    with pytest.raises(FileNotFoundError, match='nothing.json: found no such file'):
        find_unknown_objects(files / 'nothing.json', files / 'ann.json', rules)
    with pytest.raises(ValueError, match=r'found no proposal of an image of .*ann.json that the rules keep'):
        find_unknown_objects(files / 'proposals.json', files / 'ann.json', CleaningRules(min_area=1e6))
    with pytest.raises(ValueError, match=r"proposals.json: annotations\[0\]: found the keys .*expected 'score'"):
        (files / 'proposals.json').write_text((files / 'proposals.json').read_text().replace('score', 'other'))
        find_unknown_objects(files / 'proposals.json', files / 'ann.json', rules)
    (files / 'proposals.json').write_text('{"images": []}')
    with pytest.raises(ValueError, match="found no list 'annotations'"):
        find_unknown_objects(files / 'proposals.json', files / 'ann.json', rules)
