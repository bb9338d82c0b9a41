"""Child registries of MMEngine's, scope ``rsc_mm``.

A type of this package is written ``rsc_mm.EVACLIPViT`` from an mmdet or mmseg config, and ``EVACLIPViT`` where
``default_scope = 'rsc_mm'``. The module in which a registry's types live is imported when one is first looked up. Some
children hold no type of ours: MMEngine looks into them under our default scope, and warns where there is none.
"""
from mmengine.registry import Registry, root


def _child(parent: Registry, module: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='rsc_mm', locations=[f'rsc_mm.{module}'])


MODELS = _child(root.MODELS, 'models')
# Dense readouts are named as in the papers and built with the network they read, so they have a registry of their own.
READOUTS = Registry('readout', scope='rsc_mm', locations=['rsc_mm.models.backbones.readouts'])
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'models')
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS, 'models')
DATASETS = _child(root.DATASETS, 'datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets')
TASK_UTILS = _child(root.TASK_UTILS, 'datasets')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'datasets')
FUNCTIONS = _child(root.FUNCTIONS, 'datasets')
METRICS = _child(root.METRICS, 'evaluation')
EVALUATOR = _child(root.EVALUATOR, 'evaluation')
HOOKS = _child(root.HOOKS, 'engine')
LOOPS = _child(root.LOOPS, 'engine')
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, 'engine')
OPTIMIZERS = _child(root.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'engine')
VISUALIZERS = _child(root.VISUALIZERS, 'visualization')
VISBACKENDS = _child(root.VISBACKENDS, 'visualization')
