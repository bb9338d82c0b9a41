# OV-DQUO in small, on the tiny EVA-CLIP of projects/shapes_clip: patch 8, levels at strides 4, 8 and 16, a transformer
# of one encoder and two decoder layers.
_base_ = 'ov_dquo_vitb16.py'
clip_checkpoint = 'projects/shapes_clip/shapes_clip.pt'
model = dict(
    num_queries=60,
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615], std=[68.5005327, 66.6321579, 70.32316305],
        pad_size_divisor=16),
    backbone=dict(
        arch=dict(
            _delete_=True, img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128,
            ref_feat_shape=(8, 8)),
        out_indices=(2, 3, 5),
        frozen_stages=6,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(in_channels=192, out_channels=64, norm_groups=8),
    encoder=dict(
        num_layers=1,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=64, num_heads=4, num_points=2),
            ffn_cfg=dict(embed_dims=64, feedforward_channels=256))),
    decoder=dict(
        num_layers=2,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=64),
            cross_attn_cfg=dict(embed_dims=64, num_heads=4),
            ffn_cfg=dict(embed_dims=64, feedforward_channels=256))),
    positional_encoding=dict(num_feats=32),
    bbox_head=dict(
        classes='shapes_things',
        base_classes='shapes_base',
        class_embeddings=dict(
            prompts='single',
            text_encoder=dict(
                arch=dict(_delete_=True, embed_dim=128, context_length=32, width=64, heads=4, layers=4),
                checkpoint=clip_checkpoint)),
        text_channels=128,
        temperature=15.0,  # as F-ViT's on this tower: configs/shapes/README.md
        embed_dims=64),
    dn_cfg=dict(group_cfg=dict(num_dn_queries=10)))
custom_hooks = [
    dict(type='rsc_mm.ClassOrderHook'),
    dict(type='rsc_mm.EMAHook', ema_type='ExponentialMovingAverage', momentum=0.01, priority='ABOVE_NORMAL'),
]
