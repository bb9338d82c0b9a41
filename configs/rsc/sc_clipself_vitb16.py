# SC-CLIPSelf on proposals of COCO, EVA-02-CLIP ViT-B/16, 1024 px: the correlations of the frozen tower (Qiu et al.,
# ICLR 2025, sec. 3.2).
# Paper: table 2: boxes / thing masks / stuff masks top-1 76.0 / 77.9 / 49.4; table 3: OV-COCO novel AP50 39.1
# Command: bash tools/dist_train.sh configs/rsc/sc_clipself_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
model = dict(type='SCRLA', scd_loss=dict(type='SCDLoss', loss_weight=0.2))
train_dataloader = dict(batch_size=4)
