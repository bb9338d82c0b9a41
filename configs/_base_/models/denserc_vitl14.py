# DenseRC on EVA-02-CLIP ViT-L/14 with DINOv2-L with registers, 896 px for both.
_base_ = 'denserc_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    backbone=dict(
        arch='eva02_large_patch14_clip_336', with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    vfm=dict(
        arch='vit_large_patch14_reg4_dinov2',
        init_cfg=dict(checkpoint='data/checkpoints/dinov2_vitl14_reg4_pretrain.pth')),
    data_preprocessor=dict(image_size=896, crop_size=336, patch_size=14))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
