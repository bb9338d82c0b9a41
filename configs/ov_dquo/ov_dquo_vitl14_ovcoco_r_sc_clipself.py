# OV-DQUO ViT-L/14 on OV-COCO, frozen backbone: an R-SC-CLIPSelf tower.
# Paper: no figure for this combination
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitl14_ovcoco_r_sc_clipself.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitl14.py',
    '../_base_/datasets/ov_coco_unknown_896.py',
    '../_base_/schedules/ov_dquo_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/r_sc_clipself_vitl14.pth')))
