import sys

import pytest
from PIL import Image

from tests.test_tools.common import REPOSITORY

CLIP = 'projects/shapes_clip/shapes_clip.pt'


@pytest.fixture
def tools(monkeypatch, shapes_root):
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    import quickstart
    import shapes_table
    return quickstart, shapes_table


def metrics(boxes: float) -> dict[str, float]:
    return dict(boxes_top1=boxes, thing_masks_top1=12., stuff_masks_top1=25., thing_crops_top1=85.,
                stuff_crops_top1=64.)


def test_report_tells_the_share_of_the_distance(tools):
    text = tools[0].write_report('CLIPSelf (proposals)', metrics(10.), metrics(70.), 90.)
    assert '| boxes | 10.0 | 70.0 | 85.0 |' in text
    assert 'shrank by 80 %' in text and '1.5 minutes' in text


def test_table_gives_mean_and_deviation_over_seeds(tools):
    text = tools[1].format_table(metrics(10.), {'CLIPSelf (grid)': [metrics(20.), metrics(22.), metrics(24.)]})
    assert '| CLIPSelf (grid) | 22.0 ± 2.0 | 12.0 ± 0.0 | 25.0 ± 0.0 |' in text
    assert "| original's image crops (upper bound) | 85.0 |  | 64.0 |" in text


def test_pictures(tools, tmp_path):
    tools[0].draw_pictures(CLIP, tmp_path / 'pictures.png', count=2)
    with Image.open(tmp_path / 'pictures.png') as picture:
        width, height = picture.size
    assert width > 300 and height > 600


def test_evaluation_is_kept(tools, tmp_path, monkeypatch):
    first = tools[1].evaluate(CLIP, tmp_path)
    monkeypatch.setattr(sys, 'executable', '/bin/false')
    assert tools[1].evaluate(CLIP, tmp_path) == first


def test_a_failing_step_stops_with_its_command(tools):
    with pytest.raises(SystemExit, match='ended with status 2; the same command goes on from here'):
        tools[1].run([sys.executable, 'tools/train.py'])
