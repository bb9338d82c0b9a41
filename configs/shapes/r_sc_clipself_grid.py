# R-SC-CLIPSelf on image patches of Shapes: the correlations of the Refiner (Qiu et al., ICLR 2025, sec. 3.4).
# Commands: python tools/train.py configs/shapes/refiner.py
#           python tools/train.py configs/shapes/r_sc_clipself_grid.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/r_sc_shapes.py',
    '../_base_/datasets/shapes_patches.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
