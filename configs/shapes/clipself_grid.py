# CLIPSelf on image patches of Shapes (CLIPSelf, Wu et al., ICLR 2024, sec. 3.2), the tiny twin of configs/clipself.
# Command: python tools/train.py configs/shapes/clipself_grid.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/shapes_clip.py',
    '../_base_/datasets/shapes_patches.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
