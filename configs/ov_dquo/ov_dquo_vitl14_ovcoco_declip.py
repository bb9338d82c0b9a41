# OV-DQUO ViT-L/14 on OV-COCO, frozen backbone: a DeCLIP tower with its readout and temperature 50.
# Paper: novel / base / all AP50 48.3 / 60.0 / 56.9 (DeCLIP, table 13)
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitl14_ovcoco_declip.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitl14.py',
    '../_base_/datasets/ov_coco_unknown_896.py',
    '../_base_/schedules/ov_dquo_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(readout='qq', init_cfg=dict(checkpoint='data/checkpoints/declip_vitl14.pth')),
    bbox_head=dict(temperature=50.0))
