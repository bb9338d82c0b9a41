# R-SC-CLIPSelf on proposals of COCO, SigLIP 2 B/16, 1024 px (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: no number for this tower
# Commands: bash tools/dist_train.sh configs/rsc/refiner_siglip2_vitb16.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_clipself_siglip2_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
clip_checkpoint = 'open_clip::ViT-B-16-SigLIP2/webli'
model = dict(
    backbone=dict(type='SigLIPViT', arch='vit_base_patch16_siglip_224', init_cfg=dict(checkpoint=clip_checkpoint)),
    refiner=dict(
        region_token=False, init_cfg=dict(
            checkpoint='work_dirs/refiner_siglip2_vitb16/refiner.pth',
            command='bash tools/dist_train.sh configs/rsc/refiner_siglip2_vitb16.py 8')),
    data_preprocessor=dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-SigLIP2', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
