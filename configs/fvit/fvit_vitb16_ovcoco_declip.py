# F-ViT ViT-B/16 on OV-COCO, frozen backbone: a DeCLIP tower with its readout and T = 45.
# Paper: novel / base / all AP50 41.1 / 57.8 / 53.5 (DeCLIP, table 13)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovcoco_declip.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16.py',
    '../_base_/datasets/ov_coco.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(
        readout='qq',
        init_cfg=dict(checkpoint='data/checkpoints/declip_vitb16.pth')),
    roi_head=dict(bbox_head=dict(clip_temperature=45.0)))
