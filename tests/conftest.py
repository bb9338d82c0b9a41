from pathlib import Path

import pytest

from rsc_mm.datasets.shapes_world import write_shapes


@pytest.fixture(scope='session')
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Shapes world: 24 training, 6 val and 6 dev images."""
    root = tmp_path_factory.mktemp('data') / 'shapes'
    write_shapes(root, dict(train=24, val=6, dev=6), seed=0, processes=1, report=lambda line: None)
    return root
