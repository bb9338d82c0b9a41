# DenseRC on image patches of COCO, EVA-02-CLIP ViT-B/16, 1024 px, for segmentation (DenseRC, CVPR 2026).
# Paper: boxes / thing / stuff masks top-1 76.7 / 78.1 / 55.8; CAT-Seg A-847 15.9, PC-459 22.7, A-150 37.6, PC-59 61.4
# Command: bash tools/dist_train.sh configs/denserc/denserc_vitb16_grid.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
