# The Refiner of PE-Core B/16, 1024 px: stage 1 of R-SC (Qiu et al., ICLR 2025, sec. 3.3).
# Paper: no number for this tower
# Command: bash tools/dist_train.sh configs/rsc/refiner_pe_core_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/refiner_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/refiner_4e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=16, dataset=dict(regions=dict(type='LocalCropRegions')))
clip_checkpoint = 'open_clip::PE-Core-B-16/meta'
model = dict(
    backbone=dict(type='PECoreViT', arch='vit_pe_core_base_patch16_224', init_cfg=dict(checkpoint=clip_checkpoint)),
    data_preprocessor=dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='PE-Core-B-16', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
