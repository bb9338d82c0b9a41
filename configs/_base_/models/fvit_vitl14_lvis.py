# OV-LVIS on ViT-L/14: what fvit_vitl14.py changes, over the LVIS heads.
_base_ = 'fvit_vitb16_lvis.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    data_preprocessor=dict(pad_size_divisor=896),
    backbone=dict(
        arch='eva02_large_patch14_clip_336',
        out_indices=(6, 10, 14, 23),
        frozen_stages=24,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(in_channels=1024),
    rpn_head=dict(anchor_generator=dict(strides=[3.5, 7, 14, 28, 56])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[3.5, 7, 14, 28]),
        mask_roi_extractor=dict(featmap_strides=[3.5, 7, 14, 28]),
        bbox_head=dict(
            fc_out_channels=768,
            beta=0.4,
            class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=clip_checkpoint)))))
