# SC-CLIPSelf on proposals of Creatures: the correlations of the frozen tower (Qiu et al., ICLR 2025, sec. 3.2).
# Command: python tools/train.py configs/creatures/sc_clipself_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/r_sc_creatures.py',
    '../_base_/datasets/creatures_proposals.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
model = dict(refiner=None)
