# DeCLIP with q-q attention on proposals of Creatures (Wang et al., CVPR 2025); the VFM is projects/shapes_vfm.
# Command: python tools/train.py configs/creatures/declip_qq_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/declip_creatures.py',
    '../_base_/datasets/creatures_proposals.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
model = dict(context_loss=dict(loss_weight=0.025))  # this and the rate chosen on the dev split
optim_wrapper = dict(optimizer=dict(lr=5e-4))
