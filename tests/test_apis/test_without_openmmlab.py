"""Loading, naming and export need neither mmcv nor mmdet nor mmseg."""
import subprocess
import sys

import pytest

from tests.test_tools.common import REPOSITORY

CODE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmcv', 'mmdet', 'mmseg'):
            raise ModuleNotFoundError(f'{name} is hidden from this test')

sys.meta_path.insert(0, Refuse())
import rsc_mm
from rsc_mm.apis.export import DenseGraph, describe, trace

model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
scene, names = 'projects/shapes_clip/scene.jpg', ['heart', 'cross', 'lines']
print(model.class_map(scene, names).labels.shape, model.classify_regions(scene, [[72, 14, 104, 44]], names).names)
print(list(describe(DenseGraph(model))['outputs']), trace(DenseGraph(model)).range_constraints)
try:
    from rsc_mm.apis.detection import load_detector
    load_detector('configs/shapes/fvit_shapes.py', 'none.pth')
except ImportError as error:
    print('refused:', error)
"""


@pytest.mark.slow
def test_load_name_and_export_with_mmcv_hidden():
    run = subprocess.run([sys.executable, '-c', CODE], cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "(128, 128) ['heart']" in run.stdout and "['dense'] {" in run.stdout
    assert 'refused: rsc_mm needs the compiled operators of mmcv' in run.stdout
