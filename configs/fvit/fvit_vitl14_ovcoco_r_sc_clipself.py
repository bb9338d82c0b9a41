# F-ViT ViT-L/14 on OV-COCO, frozen backbone: an R-SC-CLIPSelf tower.
# Paper: novel / base / all AP50 48.1 / 65.4 / 60.8 (R-SC, table 10)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovcoco_r_sc_clipself.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/r_sc_clipself_vitl14.pth')))
