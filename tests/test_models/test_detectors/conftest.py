import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Detection configs name mmdet's types without a prefix."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
