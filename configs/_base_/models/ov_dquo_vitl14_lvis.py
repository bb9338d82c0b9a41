# OV-LVIS on ViT-L/14: what ov_dquo_vitb16_lvis.py changes of the head, and the tower of ov_dquo_vitl14.py.
_base_ = 'ov_dquo_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    data_preprocessor=dict(pad_size_divisor=896),
    backbone=dict(
        arch='eva02_large_patch14_clip_336',
        out_indices=(10, 14, 23),
        frozen_stages=24,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(in_channels=1024),
    bbox_head=dict(
        classes='lvis',
        base_classes='lvis_base',
        num_sampled_classes=100,
        novel_prior=8.0,
        text_channels=768,
        class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=clip_checkpoint))),
    test_cfg=dict(max_per_img=300))
