# DenseRC on proposals of Creatures (CVPR 2026); the VFM is projects/shapes_vfm.
# Command: python tools/train.py configs/creatures/denserc_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/denserc_creatures.py',
    '../_base_/datasets/creatures_proposals.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
optim_wrapper = dict(optimizer=dict(lr=5e-4))  # chosen on the dev split
