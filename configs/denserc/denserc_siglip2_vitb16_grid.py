# DenseRC on image patches of COCO, SigLIP 2 B/16, 1024 px; size and weights are not in the paper (DenseRC, CVPR 2026).
# Paper: boxes / thing / stuff masks top-1 81.5 / 82.1 / 54.8; SigLIP 2 as it is 46.9 / 46.7 / 0.03 (table 10)
# Command: bash tools/dist_train.sh configs/denserc/denserc_siglip2_vitb16_grid.py 4
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/denserc_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
clip_checkpoint = 'open_clip::ViT-B-16-SigLIP2/webli'
model = dict(
    backbone=dict(type='SigLIPViT', arch='vit_base_patch16_siglip_224', init_cfg=dict(checkpoint=clip_checkpoint)),
    data_preprocessor=dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-SigLIP2', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
