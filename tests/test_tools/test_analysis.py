import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from rsc_mm.apis import load_features
from rsc_mm.apis.analysis.coupling import couple, draw_pairs
from rsc_mm.apis.analysis.objects import collect_objects, pick
from rsc_mm.apis.analysis.segments import draw_proposals
from rsc_mm.apis.command_line import run_tool
from rsc_mm.apis.evaluation_data import evaluation_dataset
from rsc_mm.datasets import RegionSample
from rsc_mm.datasets.shapes import CLASS_NAMES
from rsc_mm.evaluation import coupled_cosines
from rsc_mm.registry import MODELS
from rsc_mm.utils.refiner_checkpoint import tower_identity
from tests.test_datasets.toy import write_json
from tests.test_tools.common import REPOSITORY

pytestmark = pytest.mark.slow  # trains, or starts whole programs

CLIP = 'projects/shapes_clip/shapes_clip.pt'
CONFIG = 'configs/shapes/region_classification.py'
REFINER = 'configs/shapes/refiner.py'
SMALL = ('--cfg-options', 'model.data_preprocessor.image_size=64')
TOOLS = ('affinity_maps', 'aggregate_contexts', 'coupling_ratio', 'kmeans_maps', 'retrieval', 'tsne_objects')

Tool = Callable[..., dict]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, shapes_root: Path) -> Tool:
    """Reads a tool without running it and gives its names."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    MMLogger.get_current_instance()  # keeps the stream it is made with: not one that `capsys` closes
    return lambda name: runpy.run_path(f'tools/analysis/{name}.py')


@pytest.fixture
def run(load: Tool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs a tool with a command line and gives what it printed."""
    def call(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        run_tool(load(name)['main'])
        return capsys.readouterr().out
    return call


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that the tools save."""
    figures = []

    def save(figure: Figure, out: Path) -> Path:
        figure.savefig(out)
        figures.append(figure)
        return out
    monkeypatch.setattr('rsc_mm.visualization.figures.save_figure', save)
    return figures


@pytest.fixture
def image(shapes_root: Path) -> Path:
    return sorted((shapes_root / 'val').iterdir())[0]


@pytest.fixture
def refiner_checkpoint(load: Tool, tmp_path: Path) -> Path:
    """An untrained Refiner of the tiny tower, saved as stage 1 saves it."""
    model = build_refiner_trainer()
    weights = {f'refiner.{key}': value for key, value in model.refiner.state_dict().items()}
    torch.save({'state_dict': weights, 'meta': tower_identity(model.backbone)}, tmp_path / 'refiner.pth')
    return tmp_path / 'refiner.pth'


def build_refiner_trainer() -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(REFINER).model).eval()
    model.init_weights()
    torch.nn.init.normal_(model.refiner.fc_inter[-1].weight, std=0.02)
    return model


@pytest.mark.parametrize('name', TOOLS)
def test_help_explains_the_measure_and_gives_a_command(run, capsys, name):
    with pytest.raises(SystemExit, match='0'):
        run(name, '--help')
    text = capsys.readouterr().out
    assert f'python tools/analysis/{name}.py' in text and ('app.' in text or 'fig.' in text)


def test_coupling_of_the_tiny_tower(run, tmp_path):
    printed = run('coupling_ratio', CONFIG, CLIP, '--pairs', 5, '--batch-size', 2, '--out', tmp_path / 'a' / 'cr.json',
                  *SMALL)
    figures = json.loads((tmp_path / 'a' / 'cr.json').read_text())
    assert figures['pairs'] == 5
    assert figures['coupling_ratio_of_means'] > 1.05  # the tiny CLIP mixes context
    assert f'{figures["coupling_ratio"]:.4f}' in printed and 'coupling_ratio_of_means ' in printed
    run('coupling_ratio', CONFIG, CLIP, '--pairs', 5, '--out', tmp_path / 'again.json', *SMALL)
    assert json.loads((tmp_path / 'again.json').read_text()) == pytest.approx(figures, rel=1e-4)


class PatchMeans:
    """Features that mix nothing: the mean colour of each patch."""

    def parts(self, images: torch.Tensor, count: int = 1) -> list[torch.Tensor]:
        return list(torch.nn.functional.avg_pool2d(images, 8).chunk(count, dim=3))


def test_coupling_without_context_mixing_is_one():
    a, b = torch.rand(2, 3, 3, 32, 32, generator=torch.manual_seed(0))
    coupled, alone = couple(PatchMeans(), a, b)
    assert torch.equal(coupled, alone)


def test_coupling_of_a_tower_reads_the_halves_of_the_joint_image(load):
    config = Config.fromfile(CONFIG)
    features = load_features(config, CLIP)
    a, b = torch.randn(2, 2, 3, 64, 64, generator=torch.manual_seed(0))
    tower = features.tower
    with torch.no_grad():
        joint = tower.encode_dense(torch.cat([a, b], dim=3))
        expected = coupled_cosines(*(x.flatten(2).mT for x in (joint[..., :8], joint[..., 8:], tower.encode_dense(a),
                                                               tower.encode_dense(b))))
        found = couple(features, a, b)
    torch.testing.assert_close(found, expected)


def test_coupling_of_a_refiner_reads_the_boxes_of_the_joint_image(run, load, refiner_checkpoint, tmp_path):
    features = load_features(Config.fromfile(REFINER), refiner_checkpoint)
    model, images = build_refiner_trainer(), torch.randn(2, 3, 64, 128, generator=torch.manual_seed(0))
    boxes = [torch.tensor([[64., 0, 128, 64]])] * 2
    with torch.no_grad():
        tokens = model.refiner(model.backbone.intermediates(images, model.refiner.layers), boxes, 8)
        torch.testing.assert_close(features.parts(images, 2)[1].flatten(2).mT, tokens)
        assert features.parts(images[..., :96])[0].shape == (2, 128, 8, 12)
    run('coupling_ratio', REFINER, refiner_checkpoint, '--pairs', 2, '--out', tmp_path / 'cr.json', *SMALL)
    assert json.loads((tmp_path / 'cr.json').read_text())['coupling_ratio_of_means'] > 0


def test_pairs_are_of_different_images_and_repeat_by_seed():
    pairs = draw_pairs(5, 400, seed=1)
    assert {i for i, _ in pairs} == {j for _, j in pairs} == set(range(5))
    assert all(i != j for i, j in pairs) and len(set(pairs)) == 20
    assert pairs == draw_pairs(5, 400, seed=1) != draw_pairs(5, 400, seed=2)
    with pytest.raises(ValueError, match='found 3 pairs of 1 images, expected at least 1 pair of 2 images'):
        draw_pairs(1, 3, 0)


def test_aggregation_prints_a_row_for_each_number_of_contexts(run, tmp_path):
    printed = run('aggregate_contexts', CONFIG, CLIP, '--images', 3, '--contexts', 1, 3, '--rows', 2, '--out',
                  tmp_path / 'maps.png', *SMALL)
    rows = [line.split(' | ') for line in printed.splitlines() if line[:3] in ('| 0', '| 1', '| 3')]
    assert [row[0] for row in rows] == ['| 0', '| 1', '| 3']
    assert all(0 < float(cell.split('±')[0].strip(' |')) < 100 for row in rows for cell in row[1:])
    width, height = size(tmp_path / 'maps.png')
    assert width == 800 and height > 340  # the legend lies below the maps


def test_picture_of_contexts_has_a_legend_of_the_annotated_classes(run, drawn, tmp_path):
    run('aggregate_contexts', CONFIG, CLIP, '--images', 2, '--contexts', 1, '--rows', 1, '--out',
        tmp_path / 'maps.png', *SMALL)
    figure, = drawn
    *names, last = (text.get_text() for text in figure.legends[0].get_texts())
    *colours, grey = (patch.get_facecolor() for patch in figure.legends[0].get_patches())
    maps = [axis.images[0] for axis in figure.axes[1:]]
    assert set(names) < set(CLASS_NAMES) and last == 'any other class'
    assert set(maps[0].get_array().compressed().tolist()) == set(range(len(names)))
    for picture in maps:
        assert [picture.cmap(picture.norm(i)) for i in range(len(names))] == colours
        assert picture.cmap(picture.norm(len(names) + 1)) == grey
        assert set(picture.get_array().compressed().tolist()) <= {*range(len(names)), len(names) + 1}


def test_affinity_maps_of_two_checkpoints(run, image, refiner_checkpoint, tmp_path):
    run('affinity_maps', image, '--config', CONFIG, REFINER, '--checkpoints', CLIP, refiner_checkpoint, '--names',
        'CLIP', 'Refiner', '--points', '10,20', '60,60', '--out', tmp_path / 'maps.png')
    width, height = size(tmp_path / 'maps.png')
    assert width == 780 and height > 580


def test_pictures_say_which_colours_can_be_compared(run, drawn, image, tmp_path):
    towers = ['--config', CONFIG, '--checkpoints', CLIP, '--out', tmp_path / 'maps.png', *SMALL]
    run('affinity_maps', image, '--points', '10,20', *towers)
    run('kmeans_maps', image, *towers)
    run('kmeans_maps', image, '--together', *towers)
    notes = [figure.texts[0].get_text() for figure in drawn]
    assert "each map's lowest to its highest cosine" in notes[0] and 'cannot be compared between columns' in notes[0]
    assert 'within one map' in notes[1] and 'cannot be compared between columns or rows' in notes[1]
    assert 'within rows of one column' in notes[2] and 'cannot be compared between columns.' in notes[2]


def test_affinity_maps_refuse_a_point_outside_and_what_is_no_point(run, image, capsys):
    width, height = size(image)
    with pytest.raises(SystemExit, match=f'--points, .*found x,y = {width},5, expected .* {width} x {height}'):
        run('affinity_maps', image, '--config', CONFIG, '--checkpoints', CLIP, '--points', f'{width},5')
    with pytest.raises(SystemExit, match='2'):
        run('affinity_maps', image, '--config', CONFIG, '--checkpoints', CLIP, '--points', '5')
    assert "found '5', expected x,y in pixels, such as 40,30" in capsys.readouterr().err


def test_checkpoints_need_names_that_differ(run, image):
    with pytest.raises(SystemExit, match=r"found 2 files, 1 of --config and the names \['shapes_clip', 'shapes_clip'"):
        run('affinity_maps', image, '--config', CONFIG, '--checkpoints', CLIP, CLIP, '--points', '5,5')


@pytest.mark.parametrize('together', [[], ['--together']])
def test_kmeans_maps(run, image, tmp_path, together):
    run('kmeans_maps', image, image, '--config', CONFIG, '--checkpoints', CLIP, '--clusters', 4, '--out',
        tmp_path / 'maps.png', *together)
    width, height = size(tmp_path / 'maps.png')
    assert width == 520 and height > 560


def test_tsne_prints_the_numbers_of_the_features(run, tmp_path, monkeypatch):
    # The projection itself is tested beside its function; here two channels do.
    monkeypatch.setattr('rsc_mm.visualization.tsne', lambda features, seed: features[:, :2])
    printed = run('tsne_objects', '--config', CONFIG, '--checkpoints', CLIP, '--count', 3, '--instances', 4,
                  '--neighbours', 2, '--out', tmp_path / 'tsne.png')
    cells = printed.splitlines()[2].split(' | ')
    assert cells[0] == '| shapes_clip' and 4 <= int(cells[1]) <= 12 and 0 <= float(cells[2]) <= 100
    assert size(tmp_path / 'tsne.png') == (400, 440)


def test_tsne_categories(run):
    wanted = {3: 2, 5: 1}
    assert pick([3, 4, 5, 5, 3], [True] * 5, wanted) == [0, 2, 4] and wanted == {3: 0, 5: 0}
    assert pick([3, 5], [True] * 2, wanted) == [] and pick([3, 3], [False, True], {3: 2}) == [1]
    with pytest.raises(SystemExit, match=r"--categories: found \['unicorn'\], expected names of \["):
        run('tsne_objects', '--config', CONFIG, '--checkpoints', CLIP, '--categories', 'star', 'unicorn')


def test_tsne_leaves_out_objects_without_a_cell(load, shapes_root, tmp_path, monkeypatch):
    load('tsne_objects')
    logged = []
    monkeypatch.setattr('rsc_mm.apis.analysis.objects.print_log', lambda text, logger: logged.append(text))
    config = Config.fromfile(CONFIG)
    config.model.data_preprocessor.image_size = 8  # one cell in all: bicubic sampling misses most masks
    dataset = evaluation_dataset(config)
    towers = {'CLIP': load_features(config, CLIP)}
    objects, owners = collect_objects(config, dataset, list(range(10)), towers)
    things = int(dataset.table.is_thing[dataset.table.labels].sum())
    assert len(objects['CLIP']) == len(owners) < things and objects['CLIP'].any(1).all()
    assert logged == [f'left out {things - len(owners)} objects whose mask covers no cell of the grid']


def test_retrieval_of_the_tiny_tower(run, tmp_path):
    printed = run('retrieval', CONFIG, CLIP, '--samples', 6, '--reference', CLIP, '--out', tmp_path / 'recall.json')
    figures = json.loads((tmp_path / 'recall.json').read_text())
    for kind in ('images', 'regions'):
        assert figures[kind]['R@1'] <= figures[kind]['R@5'] <= figures[kind]['R@10'] == 100
    # Every pixel of Shapes belongs to a region, so every location takes part in both.
    assert figures['images']['locations'] == figures['regions']['locations'] > 6 * 128
    assert '| regions |' in printed


def test_retrieval_needs_enough_images_and_crops(run):
    with pytest.raises(SystemExit, match='found 5 in the other images, expected at least 49'):
        run('retrieval', CONFIG, CLIP)
    with pytest.raises(SystemExit, match='with crop_size None, expected a tower and the side of its crops'):
        run('retrieval', CONFIG, CLIP, '--cfg-options', 'model.data_preprocessor.crop_size=None')


def test_segment_affinity_of_a_tower_beside_itself(run, tmp_path):
    printed = run('segment_affinity', '--config', CONFIG, '--checkpoints', CLIP, CLIP, '--names', 'a', 'b',
                  '--images', 6, '--out', tmp_path / 'auc.json')
    figures = json.loads((tmp_path / 'auc.json').read_text())
    assert figures['a'] == figures['b'] and all(0.5 < value < 1 for value in figures.values())
    assert f"| crop alone | {figures['crop alone']:.3f} |" in printed


TRAIN_SPLIT = ('--cfg-options', 'test_dataloader.dataset.ann_file=annotations/panoptic_train.json',
               'test_dataloader.dataset.img_prefix=train', 'test_dataloader.dataset.seg_prefix=panoptic_train')


def test_segment_affinity_of_proposals(run, shapes_root, tmp_path):
    towers = ['--config', CONFIG, '--checkpoints', CLIP, '--images', 4, '--out', tmp_path / 'auc.json']
    run('segment_affinity', *towers, *TRAIN_SPLIT)
    squares = json.loads((tmp_path / 'auc.json').read_text())
    proposals = shapes_root / 'annotations' / 'proposals_train.json'
    run('segment_affinity', *towers, '--proposals', proposals, *TRAIN_SPLIT)
    figures = json.loads((tmp_path / 'auc.json').read_text())
    assert figures.keys() == squares.keys() and figures['shapes_clip'] != squares['shapes_clip']
    assert all(0.5 < value < 1 for value in figures.values())
    with pytest.raises(SystemExit, match=r'proposals_train\.json: images: found no id \d+, expected the images of the'):
        run('segment_affinity', *towers, '--proposals', proposals)


def test_proposals_of_an_image_are_its_own(shapes_root, tmp_path):
    """All boxes of the file, within the limits of the source, are drawn for their image, and no stand-in for none."""
    path = shapes_root / 'annotations' / 'proposals_train.json'
    content = json.loads(path.read_text())
    first, second = content['images'][:2]
    content['annotations'] = [row for row in content['annotations'] if row['image_id'] == first['id']]
    draw = draw_proposals(write_json(tmp_path / 'proposals.json', content), np.random.default_rng(0))
    boxes = [draw(RegionSample(metainfo=dict(ori_shape=(image['height'], image['width']), img_id=image['id']))).boxes
             for image in (first, second)]
    expected = {(x, y, x + w, y + h) for x, y, w, h in (row['bbox'] for row in content['annotations'])}
    assert len(boxes[1]) == 0 and len(boxes[0]) == min(20, len(expected))
    assert {tuple(round(value, 2) for value in box) for box in boxes[0].tolist()} <= {
        tuple(round(value, 2) for value in box) for box in expected}


def test_a_configuration_without_images_to_evaluate_on_is_named(run):
    with pytest.raises(SystemExit, match='found neither test_dataloader nor val_dataloader'):
        run('coupling_ratio', CONFIG, CLIP, '--cfg-options', 'test_dataloader=None')


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size
