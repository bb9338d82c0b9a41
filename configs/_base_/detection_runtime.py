# What detection changes of the runtime: mmdet's scope and visualisation, and our detectors.
_base_ = 'default_runtime.py'
default_scope = 'mmdet'
custom_imports = dict(
    imports=[
        'rsc_mm.models', 'rsc_mm.models.detectors', 'rsc_mm.datasets.detection', 'rsc_mm.engine', 'rsc_mm.evaluation',
        'rsc_mm.evaluation.mmdet_metrics'
    ])
default_hooks = dict(
    checkpoint=dict(
        _delete_=True, type='rsc_mm.SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best='coco/novel_ap50',
        rule='greater'),
    epoch_seed=dict(type='rsc_mm.EpochSeedHook'),
    visualization=dict(type='DetVisualizationHook'))
log_processor = dict(type='LogProcessor')
visualizer = dict(type='DetLocalVisualizer', name='visualizer')
