"""Dense, open-vocabulary CLIP backbones for MMEngine, MMDetection and MMSegmentation."""
from rsc_mm.utils.dependencies import require

__version__ = '0.1.0'

require('mmengine')
