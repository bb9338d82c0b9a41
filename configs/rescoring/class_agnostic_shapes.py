# A class-agnostic detector: mmdet's RPN with an ATSS head, in small, on the 7 base things of Shapes as one class.
# Paper: none; it stands for any detector that finds objects and cannot name them.
# Commands: python tools/train.py configs/rescoring/class_agnostic_shapes.py
#           python tools/test.py configs/rescoring/class_agnostic_shapes.py CHECKPOINT
# Measured here: see README.md
_base_ = [
    '../_base_/models/class_agnostic_shapes.py', '../_base_/datasets/shapes_detection.py',
    '../_base_/schedules/fvit_shapes.py', '../_base_/detection_runtime.py'
]
# Recall of all 10 things, whatever the label.
val_evaluator = dict(type='rsc_mm.CocoMetric', metric='proposal')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=2, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=50, end=496),
]
optim_wrapper = dict(type='OptimWrapper')  # float32: in bfloat16 the scores of boxes would tie
default_hooks = dict(checkpoint=dict(save_best=None))
