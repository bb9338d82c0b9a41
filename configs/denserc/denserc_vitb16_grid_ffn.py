# DenseRC with the last block's FFN in the student too, EVA-02-CLIP ViT-B/16, 1024 px (DenseRC, CVPR 2026).
# Paper: table 13: CAT-Seg A-847 15.9, PC-459 22.6, A-150 37.6, PC-59 61.4
# Command: bash tools/dist_train.sh configs/denserc/denserc_vitb16_grid_ffn.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
model = dict(backbone=dict(readout=dict(type='hsg_ffn')))
