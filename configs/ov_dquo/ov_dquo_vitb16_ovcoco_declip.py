# OV-DQUO ViT-B/16 on OV-COCO, frozen backbone: a DeCLIP tower with its readout and temperature 50.
# Paper: novel / base / all AP50 46.1 / 56.3 / 53.6 (DeCLIP, table 13)
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitb16_ovcoco_declip.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitb16.py',
    '../_base_/datasets/ov_coco_unknown_1024.py',
    '../_base_/schedules/ov_dquo_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(readout='qq', init_cfg=dict(checkpoint='data/checkpoints/declip_vitb16.pth')),
    bbox_head=dict(temperature=50.0))
