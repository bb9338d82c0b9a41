# The same on EVA-02-CLIP ViT-L/14 of 336 px: levels at strides 3.5, 7, 14 and 28.
_base_ = 'panoptic_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    data_preprocessor=dict(pad_size_divisor=28),
    backbone=dict(
        arch='eva02_large_patch14_clip_336',
        out_indices=(6, 10, 14, 23),
        frozen_stages=24,
        init_cfg=dict(checkpoint=clip_checkpoint)),
    neck=dict(in_channels=1024),
    panoptic_head=dict(
        vocabulary=dict(arch='EVA02-L-14-336', init_cfg=dict(checkpoint=clip_checkpoint)),
        in_channels=[1024] * 4,
        strides=[3.5, 7, 14, 28]))
