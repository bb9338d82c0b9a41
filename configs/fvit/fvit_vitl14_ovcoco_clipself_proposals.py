# F-ViT ViT-L/14 on OV-COCO, frozen backbone: a CLIPSelf tower (region proposals).
# Paper: novel / base / all AP50 44.3 / 64.1 / 59.0 (CLIPSelf, table A6)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovcoco_clipself_proposals.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitl14_coco_proposals.pth')))
