# CLIPSelf on region proposals of COCO, SigLIP 2 B/16, 1024 px (CLIPSelf, Wu et al., ICLR 2024).
# Paper: no number for this tower
# Command: bash tools/dist_train.sh configs/clipself/clipself_siglip2_vitb16_coco_proposals.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
clip_checkpoint = 'open_clip::ViT-B-16-SigLIP2/webli'
model = dict(
    backbone=dict(type='SigLIPViT', arch='vit_base_patch16_siglip_224', init_cfg=dict(checkpoint=clip_checkpoint)),
    data_preprocessor=dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-SigLIP2', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
