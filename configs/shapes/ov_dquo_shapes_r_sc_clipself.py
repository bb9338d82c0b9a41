# OV-DQUO in small: base/novel detection on Shapes, on the R-SC-CLIPSelf tower; only the backbone's checkpoint differs.
# Commands: python tools/train.py configs/shapes/refiner.py
#           python tools/train.py configs/shapes/r_sc_clipself.py
#           python tools/train.py configs/shapes/ov_dquo_shapes_r_sc_clipself.py
#           python tools/test.py configs/shapes/ov_dquo_shapes_r_sc_clipself.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/ov_dquo_shapes.py', '../_base_/datasets/shapes_unknown.py',
    '../_base_/schedules/ov_dquo_shapes.py', '../_base_/detection_runtime.py'
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/r_sc_clipself/iter_750.pth')))
