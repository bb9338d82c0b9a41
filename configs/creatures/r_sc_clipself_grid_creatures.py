# R-SC-CLIPSelf on image patches of Creatures: the correlations of the Refiner (Qiu et al., ICLR 2025, sec. 3.4).
# Commands: python tools/train.py configs/creatures/refiner_creatures.py
#           python tools/train.py configs/creatures/r_sc_clipself_grid_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/r_sc_creatures.py',
    '../_base_/datasets/creatures_patches.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
# Chosen on the dev split.
model = dict(scd_loss=dict(loss_weight=0.2, tau_s=0.1, tau_t=0.1))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
