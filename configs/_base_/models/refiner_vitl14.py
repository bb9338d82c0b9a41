# The Refiner of EVA-02-CLIP ViT-L/14 (R-SC, sec. 4.1 and app. C.1): the last 6 blocks, FC_inter on the layers 9 and 14.
_base_ = 'refiner_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    backbone=dict(
        arch='eva02_large_patch14_clip_336', with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    refiner=dict(num_blocks=6, inter_layers=(9, 14)),
    data_preprocessor=dict(image_size=896, crop_size=336, patch_size=14))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
