# The Refiner of DINOv2 ViT-B/14, 896 px: stage 1 of R-SC (Qiu et al., ICLR 2025, sec. 3.3), for the row of table 5.
# Paper: not tabulated by itself
# Command: bash tools/dist_train.sh projects/dinov2_r_sc_v/refiner_dinov2_vitb14.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../../configs/_base_/models/refiner_vitb16.py', '../../configs/_base_/datasets/coco_patches.py',
    '../../configs/_base_/schedules/refiner_4e.py', '../../configs/_base_/default_runtime.py'
]
model = dict(
    backbone=dict(
        type='DINOv2ViT', arch='vit_base_patch14_dinov2', readout='vanilla',
        init_cfg=dict(checkpoint='data/checkpoints/dinov2_vitb14_pretrain.pth')),
    data_preprocessor=dict(
        image_size=896, patch_size=14, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
train_dataloader = dict(batch_size=16, dataset=dict(regions=dict(type='LocalCropRegions')))
val_cfg = val_evaluator = test_cfg = test_evaluator = None  # no text, no names
