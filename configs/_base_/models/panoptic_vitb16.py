# FC-CLIP's pattern on a frozen EVA-02-CLIP ViT-B/16 (Yu et al., NeurIPS 2023): Mask2Former with 250 queries and text in
# the place of class weights, trained on COCO panoptic; levels at a quarter, half, once and twice the patch of 16 px.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='rsc_mm.OVMask2Former',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        out_indices=(3, 5, 7, 11),
        frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(type='rsc_mm.ViTPyramid', in_channels=768, norm_cfg=dict(type='GN', num_groups=32)),
    panoptic_head=dict(
        type='rsc_mm.TextMask2FormerHead',
        vocabulary=dict(
            type='rsc_mm.VocabularyEncoder',
            classes='coco_panoptic',
            arch='EVA02-B-16',
            prompts='vild',
            synonyms=None,
            init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
        num_things_classes=80,
        in_channels=[768] * 4,
        strides=[4, 8, 16, 32],
        feat_channels=256,
        out_channels=256,
        num_queries=250,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type='MSDeformAttnPixelDecoder',
            num_outs=3,
            norm_cfg=dict(type='GN', num_groups=32),
            act_cfg=dict(type='ReLU'),
            encoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(
                        embed_dims=256, num_heads=8, num_levels=3, num_points=4, dropout=0.0, batch_first=True),
                    ffn_cfg=dict(embed_dims=256, feedforward_channels=1024, num_fcs=2))),
            positional_encoding=dict(num_feats=128, normalize=True)),
        positional_encoding=dict(num_feats=128, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=9,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=256, num_heads=8, batch_first=True),
                cross_attn_cfg=dict(embed_dims=256, num_heads=8, batch_first=True),
                ffn_cfg=dict(embed_dims=256, feedforward_channels=2048, num_fcs=2)),
            init_cfg=None),
        loss_mask=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
        loss_dice=dict(
            type='DiceLoss', use_sigmoid=True, activate=True, naive_dice=True, eps=1.0, loss_weight=5.0)),
    panoptic_fusion_head=dict(type='MaskFormerFusionHead', num_things_classes=80, num_stuff_classes=53),
    clip_temperature=75.0,
    alpha=0.4,
    beta=0.8,
    train_cfg=dict(
        num_points=12544,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=2.0),
                dict(type='CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0)
            ]),
        sampler=dict(type='MaskPseudoSampler')),
    test_cfg=dict(
        panoptic_on=True, semantic_on=False, instance_on=False, object_mask_thr=0.0, iou_thr=0.8,
        filter_low_score=True))
