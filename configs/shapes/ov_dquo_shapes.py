# OV-DQUO in small: base/novel detection on Shapes, on the original tiny tower.
# Commands: python tools/train.py configs/shapes/ov_dquo_shapes.py
#           python tools/test.py configs/shapes/ov_dquo_shapes.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/ov_dquo_shapes.py', '../_base_/datasets/shapes_unknown.py',
    '../_base_/schedules/ov_dquo_shapes.py', '../_base_/detection_runtime.py'
]
