"""Data and analysis tools with missing files, folders in the place of files, and configurations of another kind."""
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from rsc_mm.apis.command_line import run_tool
from tests.test_tools.common import REPOSITORY

CLIP = 'projects/shapes_clip/shapes_clip.pt'
TOWER = 'configs/shapes/region_classification.py'
PROPOSALS = 'configs/shapes/clipself_proposals.py'
DETECTOR = 'configs/shapes/fvit_shapes.py'
# Placeholders: {nowhere} is no file, {folder} a folder, {text} a text file, {out} a file to write, {image} an image.
CASES = {
    'data/prepare_ov_coco --data-root {nowhere}': r'instances_train2017\.json: found no such file, expected a COCO',
    'data/prepare_ov_lvis --data-root {nowhere}': r'^[^:]*lvis_v1_train\.json: found no such file, expected',
    'data/dump_text_embeddings coco {out}.pt --checkpoint {nowhere}': r'nowhere: (found )?no such file',
    'data/dump_text_embeddings coco {out}.pt --checkpoint {folder}': r'folder: (found )?(no such file|a folder)',
    f'data/dump_text_embeddings coco {{out}}.pt --checkpoint {CLIP} --arch {{{{width':
        r"--arch: found '{width', expected a config name of open_clip or json",
    f'data/dump_text_embeddings {{folder}} {{out}}.pt --checkpoint {CLIP}': r'folder.*found neither such a file nor',
    f'data/dump_text_embeddings {{nowhere}}.txt {{out}}.pt --checkpoint {CLIP}': r'nowhere\.txt.*found neither such',
    'data/generate_region_text {nowhere}.py {out}.json --nouns coco': r'nowhere\.py: (found )?no such file',
    'data/generate_region_text {folder} {out}.json --nouns coco': r'folder: found a folder, expected a file',
    f'data/generate_region_text {PROPOSALS} {{out}}.json --nouns {{folder}}': r'folder.*found neither such a file nor',
    f'data/generate_region_text {PROPOSALS} {{out}}.json --captions {{folder}}': r'--captions .*folder: found .*exp',
    f'data/generate_region_text {PROPOSALS} {{out}}.json --captions {{nowhere}}': r'--captions .*nowhere: found .*ex',
    'data/make_shapes --out {text}': r'text: found no Shapes data set, expected',
    'data/make_shapes --out {out} --train -5': r'train: found -5, expected at least 0',
    f'analysis/kmeans_maps {{nowhere}} --config {TOWER} --checkpoints {CLIP}': r'nowhere: found No such file.*expect',
    f'analysis/kmeans_maps {{folder}} --config {TOWER} --checkpoints {CLIP}': r'folder: found Is a directory, expected',
    f'analysis/affinity_maps {{text}} --config {TOWER} --checkpoints {CLIP} --points 1,1': r'text: found .*, expected',
    f'analysis/coupling_ratio {TOWER} {{folder}}': r'folder: (found )?(no such file|a folder)',
    f'analysis/coupling_ratio {{nowhere}} {CLIP}': r'nowhere: (found )?no such file',
    f'analysis/segment_affinity --config {TOWER} --checkpoints {CLIP} --proposals {{folder}}':
        r'folder: found (no such file|a folder), expected',
    f'analysis/tsne_objects --config {TOWER} --checkpoints {CLIP} --cfg-options data_root={{nowhere}} '
    'test_dataloader.dataset.data_root={nowhere}': r'panoptic_val\.json: found no such file',
}
NEED_MMDET = {
    f'data/generate_region_text {DETECTOR} {{out}}.json --nouns coco': r'fvit_shapes\.py.*found no class_embeddings',
    f'analysis/kmeans_maps {{image}} --config {DETECTOR} --checkpoints {CLIP}':
        r"fvit_shapes\.py, field 'model\.data_preprocessor\.type': found 'DetDataPreprocessor', expected 'RegionPrepro",
    f'data/generate_proposals {PROPOSALS} {CLIP} {{out}}.json --ann-file {{json}} --img-prefix {{folder}}':
        r"clipself_proposals\.py: found the model 'CLIPSelf' and no pipeline in 'test_dataloader\.dataset', expected a",
    f'data/generate_proposals {DETECTOR} {{folder}} {{out}}.json --ann-file {{json}} --img-prefix {{folder}}':
        r'folder: found no such file, expected the weights of',
    f'data/generate_proposals {DETECTOR} {CLIP} {{out}}.json --ann-file {{folder}} --img-prefix {{folder}}':
        r'folder: found no such file, expected a COCO-style json',
    f'data/generate_proposals {DETECTOR} {CLIP} {{out}}.json --ann-file {{json}} --img-prefix {{nowhere}}':
        r'--img-prefix .*nowhere: found no such folder, expected the one of the images',
    f'analysis/class_agnostic_ap {PROPOSALS} {CLIP}': r'clipself_proposals\.py.*found None, expected',
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, shapes_root: Path, tmp_path: Path) -> Callable[[str], None]:
    """Runs a tool in this process, by its path below tools/ and its command line."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    MMLogger.get_current_instance()
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'text').write_text('no image, no json')
    names = {name: tmp_path / name for name in ('nowhere', 'folder', 'text', 'out')}
    names |= {'image': sorted((shapes_root / 'val').iterdir())[0],
              'json': shapes_root / 'annotations' / 'instances_val.json'}

    def call(command: str) -> None:
        tool, *arguments = [part.format(**names) for part in command.split()]
        monkeypatch.setattr(sys, 'argv', [tool, *arguments])
        monkeypatch.syspath_prepend(str(REPOSITORY / 'tools' / Path(tool).parent))
        run_tool(runpy.run_path(str(REPOSITORY / 'tools' / f'{tool}.py'))['main'])
    return call


@pytest.mark.parametrize('command', CASES)
def test_a_line_says_what_is_wrong(run, tmp_path, command):
    with pytest.raises(SystemExit, match=CASES[command]) as stopped:
        run(command)
    assert isinstance(stopped.value.code, str) and '\n' not in stopped.value.code
    assert {path.name for path in tmp_path.iterdir()} == {'folder', 'text'}


@pytest.mark.slow  # imports mmdet
@pytest.mark.parametrize('command', NEED_MMDET)
def test_a_line_says_what_is_wrong_with_mmdet(run, command):
    pytest.importorskip('mmcv.ops')
    pytest.importorskip('mmdet')
    with pytest.raises(SystemExit, match=NEED_MMDET[command]):
        run(command)


def test_a_caption_of_null_is_named(run, tmp_path):
    (tmp_path / 'captions.json').write_text('{"annotations": [{"image_id": 1, "caption": null}]}')
    with pytest.raises(SystemExit, match=r'captions\.json: annotations\[0\]\.caption: found None, expected a text'):
        run(f'data/generate_region_text {PROPOSALS} {{out}}.json --captions {tmp_path}/captions.json')


@pytest.mark.parametrize('option', ['--images 0', '--contexts 1 0', '--rows -1', '--batch-size many'])
def test_counts_below_one_are_refused(run, capsys, option):
    with pytest.raises(SystemExit, match='2'):
        run(f'analysis/aggregate_contexts {TOWER} {CLIP} {option}')
    assert f"found '{option.split()[-1]}', expected a whole number of at least 1" in capsys.readouterr().err
