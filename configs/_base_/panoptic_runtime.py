# What panoptic segmentation changes of the runtime: mmdet's scope, our detectors and data set, counts by step.
_base_ = 'default_runtime.py'
default_scope = 'mmdet'
custom_imports = dict(
    imports=[
        'rsc_mm.models', 'rsc_mm.models.detectors', 'rsc_mm.datasets.panoptic', 'rsc_mm.engine', 'rsc_mm.evaluation'
    ])
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(interval=5000),
    readout=dict(type='rsc_mm.ReadoutHook'),
    label_order=dict(type='rsc_mm.LabelOrderHook'))
log_processor = dict(by_epoch=False)
visualizer = dict(type='DetLocalVisualizer', name='visualizer')
