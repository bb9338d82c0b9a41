import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Segmentation configs name mmseg's types without a prefix."""
    import mmseg.datasets  # noqa: F401  registers the transforms
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield
