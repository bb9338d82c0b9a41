# OV-DQUO on a frozen EVA-02-CLIP ViT-B/16: levels at a half, once and twice the patch of 16 px, DINO's transformer.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
match_costs = [
    dict(type='FocalLossCost', weight=2.0),
    dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
    dict(type='IoUCost', iou_mode='giou', weight=2.0)
]
model = dict(
    type='rsc_mm.OVDQUO',
    num_queries=1000,
    num_feature_levels=3,
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1024),  # square, as the reference
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        out_indices=(5, 7, 11),
        frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(type='rsc_mm.ViTPyramidMapper', in_channels=768, out_channels=256, norm_groups=32),
    encoder=dict(
        num_layers=6,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_levels=3, dropout=0.0),
            ffn_cfg=dict(embed_dims=256, feedforward_channels=2048, ffn_drop=0.0))),
    decoder=dict(
        num_layers=6,
        return_intermediate=True,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8),
            cross_attn_cfg=dict(embed_dims=256, num_levels=3, dropout=0.0),
            ffn_cfg=dict(embed_dims=256, feedforward_channels=2048, ffn_drop=0.0)),
        post_norm_cfg=None),
    positional_encoding=dict(num_feats=128, normalize=True, offset=0.0, temperature=20),
    bbox_head=dict(
        type='rsc_mm.OVDQUOHead',
        classes='ov_coco',
        base_classes='coco_base',
        class_embeddings=dict(prompts='imagenet', text_encoder=dict(arch='EVA02-B-16', checkpoint=clip_checkpoint)),
        text_channels=512,
        temperature=100.0,
        novel_prior=3.0,
        embed_dims=256,
        loss_cls=dict(type='VarifocalLoss', use_sigmoid=True, alpha=0.75, gamma=2.0, loss_weight=2.0),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
        loss_denoising=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0)),
    dn_cfg=dict(
        label_noise_scale=0.5, box_noise_scale=1.0, group_cfg=dict(dynamic=True, num_groups=None, num_dn_queries=100)),
    train_cfg=dict(assigner=dict(type='rsc_mm.TextHungarianAssigner', match_costs=match_costs)),
    test_cfg=dict(score_thr=1e-3, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
# The average is the model: it is tested and saved. No layer has buffers that training changes.
custom_hooks = [
    dict(type='rsc_mm.ClassOrderHook'),
    dict(type='rsc_mm.EMAHook', ema_type='ExponentialMovingAverage', momentum=4e-5, priority='ABOVE_NORMAL'),
]
