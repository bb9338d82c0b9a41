# CLIPSelf on class-agnostic proposals of Shapes (CLIPSelf, Wu et al., ICLR 2024, sec. 4.2).
# Command: python tools/train.py configs/shapes/clipself_proposals.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/shapes_clip.py',
    '../_base_/datasets/shapes_proposals.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
