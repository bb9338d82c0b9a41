import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope='package')
def no_trace_of_torch() -> Iterator[None]:
    """torch.export writes every step to this logger where anybody listens, as pytest does: half of the time."""
    logger = logging.getLogger('torch.__trace')
    logger.disabled = True
    yield
    logger.disabled = False
