# DeCLIP with Q+K on proposals of Shapes (Wang et al., CVPR 2025); the VFM is projects/shapes_vfm.
# Command: python tools/train.py configs/shapes/declip_csa.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/declip_shapes.py',
    '../_base_/datasets/shapes_proposals.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
model = dict(backbone=dict(readout=dict(type='csa')))
