# CLIPSelf on image patches of Creatures (CLIPSelf, Wu et al., ICLR 2024, sec. 3.2), the tiny twin of configs/clipself.
# Command: python tools/train.py configs/creatures/clipself_grid_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/creatures_clip.py',
    '../_base_/datasets/creatures_patches.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
