# R-SC-CLIPSelf on proposals of COCO with both stages at once, EVA-02-CLIP ViT-B/16, 1024 px (Qiu et al., ICLR 2025,
# sec. 4.5, E2E). Recipe of stage 2: the paper does not say.
# Paper: table 6(b): boxes / thing masks / stuff masks top-1 76.8 / 78.4 / 51.9; OV-COCO novel AP50 40.0
# Command: bash tools/dist_train.sh configs/rsc/r_sc_clipself_e2e_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
model = dict(
    type='EndToEndSCRLA',
    scd_loss=dict(type='SCDLoss', loss_weight=0.2),
    refiner=dict(type='Refiner', num_blocks=4, inter_layers=(4, 7), hidden_dims=4096))
train_dataloader = dict(
    batch_size=4,
    dataset=dict(regions=dict(type='WithLocalCrops', regions=dict(type='ProposalRegions'))))
