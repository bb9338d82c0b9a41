# F-ViT ViT-L/14 on OV-COCO, frozen backbone: a DeCLIP tower with its readout and T = 45.
# Paper: novel / base / all AP50 46.2 / 65.2 / 60.3 (DeCLIP, table 13)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovcoco_declip.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(
        readout='qq',
        init_cfg=dict(checkpoint='data/checkpoints/declip_vitl14.pth')),
    roi_head=dict(bbox_head=dict(clip_temperature=45.0)))
