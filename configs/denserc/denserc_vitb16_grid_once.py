# DenseRC with one projection of the summed gated values, EVA-02-CLIP ViT-B/16 (DenseRC, CVPR 2026).
# Paper: no number for this one.
# Command: bash tools/dist_train.sh configs/denserc/denserc_vitb16_grid_once.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
model = dict(backbone=dict(readout=dict(project='once')))
