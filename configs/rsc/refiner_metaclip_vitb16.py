# The Refiner of MetaCLIP ViT-B/16 (2.5 B pairs), 1024 px: stage 1 of R-SC (Qiu et al., ICLR 2025, sec. 3.3).
# Paper: not tabulated by itself
# Command: bash tools/dist_train.sh configs/rsc/refiner_metaclip_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/refiner_openai_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/refiner_4e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=16, dataset=dict(regions=dict(type='LocalCropRegions')))
clip_checkpoint = 'open_clip::ViT-B-16-quickgelu/metaclip_fullcc'
model = dict(backbone=dict(init_cfg=dict(checkpoint=clip_checkpoint)))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
