import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from rsc_mm.datasets.shapes_world import write_shapes

# OpenCV's threads do not survive the fork of a worker, which would wait for them forever.
cv2.setNumThreads(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--quick', action='store_true', help='leave out the tests that are marked slow')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption('--quick'):
        left_out = [item for item in items if item.get_closest_marker('slow')]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker('slow')]
    # The files with most slow tests first, so that the processes end together: a file's tests stay in one of them.
    slow = Counter(item.path for item in items if item.get_closest_marker('slow'))
    number = Counter(item.path for item in items)
    items.sort(key=lambda item: (-slow[item.path], -number[item.path], str(item.path)))


@pytest.fixture(scope='session')
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Shapes world: 24 training, 6 val and 6 dev images."""
    root = tmp_path_factory.mktemp('data') / 'shapes'
    write_shapes(root, dict(train=24, val=6, dev=6), seed=0, processes=1, report=lambda line: None)
    return root


@pytest.fixture(scope='module', autouse=True)
def own_seed() -> None:
    """What a file draws without a seed of its own does not depend on the files before it in the same process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_message_hub(request: pytest.FixtureRequest) -> None:
    """Random choices depend on the seed and the step in MMEngine's current hub, which may be an earlier test's."""
    MessageHub.get_instance(request.node.nodeid)


@pytest.fixture(scope='module', autouse=True)
def own_logger(request: pytest.FixtureRequest) -> None:
    """MMEngine's current logger may be that of an earlier file's Runner, whose log a web server's set-up has closed."""
    MMLogger.get_instance(request.node.nodeid)


@pytest.fixture(scope='module', autouse=True)
def own_default_scope() -> Iterator[None]:
    """The default scope that a Runner or an inferencer of a host library leaves behind ends with the test file."""
    scopes = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict = scopes  # as `DefaultScope.overwrite_default_scope` does
