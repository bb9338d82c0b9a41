# mmseg's scope, counts by step. Importing `cause`, which run.py does, registers the project's own parts.
_base_ = '../../../configs/_base_/default_runtime.py'
default_scope = 'mmseg'
custom_imports = dict(
    imports=['rsc_mm.models', 'rsc_mm.datasets.segmentation', 'rsc_mm.engine', 'rsc_mm.evaluation'])
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(interval=2000, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
visualizer = dict(type='SegLocalVisualizer', name='visualizer')
test_cfg = dict(type='TestLoop')
