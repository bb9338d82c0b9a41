# DeCLIP on OpenAI's CLIP ViT-B/16, scaled, unit tokens as its public code (DeCLIP, Wang et al., CVPR 2025).
# Paper: no number for this one.
# Command: bash tools/dist_train.sh configs/declip/declip_openai_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/declip_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
clip_checkpoint = 'data/checkpoints/ViT-B-16.pt'
model = dict(
    backbone=dict(
        type='CLIPViT', arch='vit_base_patch16_clip_quickgelu_224', readout=dict(type='qq', scaled=True),
        init_cfg=dict(checkpoint=clip_checkpoint)),
    unit_tokens=True)
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-quickgelu', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
