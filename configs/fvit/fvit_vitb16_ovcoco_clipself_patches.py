# F-ViT ViT-B/16 on OV-COCO, frozen backbone: a CLIPSelf tower (image patches).
# Paper: novel / base / all AP50 33.6 / 54.2 / 48.8 (CLIPSelf, table A6)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovcoco_clipself_patches.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16.py',
    '../_base_/datasets/ov_coco.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitb16_coco_patches.pth')))
