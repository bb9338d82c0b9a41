# OV-DQUO ViT-L/14 on OV-COCO, frozen backbone: a CLIPSelf tower (image patches).
# Paper: no figure for this combination
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitl14_ovcoco_clipself_patches.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitl14.py',
    '../_base_/datasets/ov_coco_unknown_896.py',
    '../_base_/schedules/ov_dquo_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitl14_coco_patches.pth')))
