"""Dense, open-vocabulary CLIP backbones for MMEngine, MMDetection and MMSegmentation."""
from typing import TYPE_CHECKING, Any

from rsc_mm.utils.dependencies import require

if TYPE_CHECKING:
    from rsc_mm.apis import DenseCLIP, load

__version__ = '0.1.0'
__all__ = ['DenseCLIP', 'load']

require('mmengine')

# From here on MMEngine reads checkpoints without running code that they hold.
from rsc_mm.utils import checkpoint_reader  # noqa: E402,F401


def __getattr__(name: str) -> Any:
    """`load` and `DenseCLIP` when they are asked for: they import the networks, which takes seconds."""
    if name in __all__:
        from rsc_mm import apis
        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
