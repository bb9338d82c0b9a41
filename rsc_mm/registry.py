"""Child registries of MMEngine's, scope ``rsc_mm``.

A type of this package is written ``rsc_mm.EVACLIPViT`` from an mmdet or mmseg config, and ``EVACLIPViT`` where
``default_scope = 'rsc_mm'``. The ``locations`` let a config find a type without a ``custom_imports`` entry once
``rsc_mm`` is imported.
"""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry('model', parent=MMENGINE_MODELS, scope='rsc_mm', locations=['rsc_mm.models'])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='rsc_mm', locations=['rsc_mm.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope='rsc_mm', locations=['rsc_mm.datasets'])
TASK_UTILS = Registry('task util', parent=MMENGINE_TASK_UTILS, scope='rsc_mm', locations=['rsc_mm.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='rsc_mm', locations=['rsc_mm.datasets'])
FUNCTIONS = Registry('function', parent=MMENGINE_FUNCTIONS, scope='rsc_mm', locations=['rsc_mm.datasets'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='rsc_mm', locations=['rsc_mm.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='rsc_mm', locations=['rsc_mm.engine'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='rsc_mm', locations=['rsc_mm.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry('optimizer wrapper constructor', parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
                                      scope='rsc_mm', locations=['rsc_mm.engine'])
