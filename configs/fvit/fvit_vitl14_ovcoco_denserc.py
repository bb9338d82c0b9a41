# F-ViT ViT-L/14 on OV-COCO, frozen backbone: a DenseRC tower with its readout and T = 45; T is DeCLIP's.
# Paper: novel / base / all AP50 54.8 / 65.4 / 62.6 (DenseRC, table 8)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovcoco_denserc.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(
        readout='hsg',
        init_cfg=dict(checkpoint='data/checkpoints/denserc_vitl14.pth')),
    roi_head=dict(bbox_head=dict(clip_temperature=45.0)))
