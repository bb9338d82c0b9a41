"""The examples in docstrings and the README's lines of Python run as they stand."""
import doctest
import re

import pytest
from mmengine.logging import MMLogger

import rsc_mm.apis.config
import rsc_mm.apis.dense_clip
import rsc_mm.apis.dense_encoder
import rsc_mm.apis.loading
import rsc_mm.apis.publishing
import rsc_mm.apis.rescoring
import rsc_mm.apis.segmentation
import rsc_mm.models.backbones.eva_clip
import rsc_mm.models.distillers.clipself
import rsc_mm.models.losses.scd
import rsc_mm.models.necks.refiner
from tests.test_tools.common import REPOSITORY


@pytest.mark.parametrize('module', [rsc_mm.apis.config, rsc_mm.apis.dense_clip, rsc_mm.apis.dense_encoder,
                                    rsc_mm.apis.loading, rsc_mm.apis.publishing, rsc_mm.apis.rescoring,
                                    rsc_mm.models.backbones.eva_clip,
                                    rsc_mm.models.distillers.clipself, rsc_mm.models.losses.scd,
                                    rsc_mm.models.necks.refiner],
                         ids=lambda module: module.__name__)
def test_docstrings(module, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    results = doctest.testmod(module)
    assert results.attempted and not results.failed


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')  # mmseg's own
def test_docstrings_of_segmentation(monkeypatch):
    pytest.importorskip('mmcv.ops')
    pytest.importorskip('mmseg.utils').register_all_modules(init_default_scope=False)  # which prints
    MMLogger.get_current_instance()  # keeps the stream it is made with, not that of the example
    test_docstrings(rsc_mm.apis.segmentation, monkeypatch)


def test_the_lines_of_the_readme(tmp_path, monkeypatch, capsys):
    page = (REPOSITORY / 'README.md').read_text()
    block = re.search(r'## Use a tower in five lines\n\n```python\n(.+?)```', page, re.S)
    code = block[1].replace("'map.png'", repr(str(tmp_path / 'map.png')))
    monkeypatch.chdir(REPOSITORY)
    exec(compile(code, 'README.md', 'exec'), {})  # noqa: S102
    assert capsys.readouterr().out.startswith('2 regions, 5 names\n  heron')
    assert (tmp_path / 'map.png').stat().st_size > 1000
