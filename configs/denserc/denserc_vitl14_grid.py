# DenseRC on image patches of COCO, EVA-02-CLIP ViT-L/14, 896 px, for segmentation (DenseRC, CVPR 2026).
# Paper: no number for this one.
# Command: bash tools/dist_train.sh configs/denserc/denserc_vitl14_grid.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitl14.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
