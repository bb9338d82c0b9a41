# CAT-Seg in small on the CLIPSelf tower; only the vision tower's checkpoint differs from catseg_shapes.py.
# Commands: python tools/train.py configs/shapes/clipself_proposals.py
#           python tools/train.py configs/shapes/catseg_shapes_clipself.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/catseg_shapes.py', '../_base_/datasets/shapes_semantic_base.py',
    '../_base_/schedules/catseg_shapes.py', '../_base_/catseg_runtime.py'
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/clipself_proposals/iter_750.pth')))
