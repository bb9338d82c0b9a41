# DenseRC on proposals of COCO, EVA-02-CLIP ViT-B/16, 1024 px, for detection (DenseRC, CVPR 2026).
# Paper: OV-COCO novel AP50 45.6; OV-LVIS mask AP_r 29.0
# Command: bash tools/dist_train.sh configs/denserc/denserc_vitb16.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
