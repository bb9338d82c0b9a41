# What segmentation changes of the runtime: mmseg's scope and visualisation, our segmentors, data sets and metric.
_base_ = 'default_runtime.py'
default_scope = 'mmseg'
custom_imports = dict(
    imports=[
        'rsc_mm.models', 'rsc_mm.models.segmentors', 'rsc_mm.datasets.segmentation', 'rsc_mm.engine',
        'rsc_mm.evaluation'
    ])
default_hooks = dict(visualization=dict(type='SegVisualizationHook'))
visualizer = dict(type='SegLocalVisualizer', name='visualizer')
