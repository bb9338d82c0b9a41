# DenseRC with the penultimate block of DINOv3-B, EVA-02-CLIP ViT-B/16, 1024 px for both (DenseRC, CVPR 2026).
# Paper: boxes / thing / stuff masks top-1 76.3 / 78.1 / 55.8
# Command: bash tools/dist_train.sh configs/denserc/denserc_vitb16_grid_dinov3.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
model = dict(vfm=dict(
    arch='vit_base_patch16_dinov3', layer=-2,
    init_cfg=dict(checkpoint='data/checkpoints/dinov3_vitb16_pretrain_lvd1689m.pth')))
