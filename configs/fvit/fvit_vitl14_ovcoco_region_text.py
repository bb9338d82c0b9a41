# F-ViT ViT-L/14 on OV-COCO, frozen backbone: a Region-Text tower.
# Paper: novel / base / all AP50 38.7 / 59.6 / 54.1 (CLIPSelf, table A6)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovcoco_region_text.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/region_text_vitl14_coco.pth')))
