# R-SC-CLIPSelf on Shapes with both stages at once (Qiu et al., ICLR 2025, sec. 4.5, E2E).
# Command: python tools/train.py configs/shapes/r_sc_clipself_e2e.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/r_sc_shapes.py',
    '../_base_/datasets/shapes_proposals.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
model = dict(type='EndToEndSCRLA', refiner=dict(init_cfg=None), refiner_loss=dict(type='RefinerLoss'))
train_dataloader = dict(
    dataset=dict(
        regions=dict(_delete_=True, type='WithLocalCrops', regions=dict(type='ProposalRegions', max_regions=8))))
