# SC-CLIPSelf on proposals of COCO, EVA-02-CLIP ViT-L/14, 896 px: the correlations of the frozen tower (Qiu et al.,
# ICLR 2025, sec. 3.2).
# Paper: table 3: OV-COCO novel AP50 46.5
# Command: bash tools/dist_train.sh configs/rsc/sc_clipself_vitl14.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/clipself_vitl14.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
model = dict(type='SCRLA', scd_loss=dict(type='SCDLoss', loss_weight=0.4))
train_dataloader = dict(batch_size=4)
