# What segmentation changes of the runtime: mmseg's scope and visualizer, our segmentors, data sets and metric. Pictures
# of a test: --cfg-options default_hooks.visualization.type=SegVisualizationHook default_hooks.visualization.draw=True
_base_ = 'default_runtime.py'
default_scope = 'mmseg'
custom_imports = dict(
    imports=[
        'rsc_mm.models', 'rsc_mm.models.segmentors', 'rsc_mm.datasets.segmentation', 'rsc_mm.engine',
        'rsc_mm.evaluation'
    ])
default_hooks = dict(label_order=dict(type='rsc_mm.LabelOrderHook'))
visualizer = dict(type='SegLocalVisualizer')
