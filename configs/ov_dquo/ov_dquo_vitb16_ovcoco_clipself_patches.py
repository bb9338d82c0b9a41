# OV-DQUO ViT-B/16 on OV-COCO, frozen backbone: a CLIPSelf tower (image patches).
# Paper: no figure for this combination
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitb16_ovcoco_clipself_patches.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitb16.py',
    '../_base_/datasets/ov_coco_unknown_1024.py',
    '../_base_/schedules/ov_dquo_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitb16_coco_patches.pth')))
