# CAT-Seg in small on the R-SC-CLIPSelf tower; only the vision tower's checkpoint differs from catseg_shapes.py.
# Commands: python tools/train.py configs/shapes/r_sc_clipself.py
#           python tools/train.py configs/shapes/catseg_shapes_r_sc_clipself.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/catseg_shapes.py', '../_base_/datasets/shapes_semantic_base.py',
    '../_base_/schedules/catseg_shapes.py', '../_base_/catseg_runtime.py'
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/r_sc_clipself/iter_750.pth')))
