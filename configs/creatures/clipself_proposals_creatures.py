# CLIPSelf on class-agnostic proposals of Creatures (CLIPSelf, Wu et al., ICLR 2024, sec. 4.2).
# Command: python tools/train.py configs/creatures/clipself_proposals_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/creatures_clip.py',
    '../_base_/datasets/creatures_proposals.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
optim_wrapper = dict(optimizer=dict(lr=5e-4))  # chosen on the dev split
