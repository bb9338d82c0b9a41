# F-ViT ViT-B/16 on OV-COCO, frozen backbone: an R-SC-CLIPSelf tower.
# Paper: novel / base / all AP50 40.9 / 54.7 / 51.1 (R-SC, table 10)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovcoco_r_sc_clipself.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16.py',
    '../_base_/datasets/ov_coco.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/r_sc_clipself_vitb16.pth')))
