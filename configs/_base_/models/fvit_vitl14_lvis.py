# OV-LVIS on ViT-L/14: what fvit_vitb16_lvis.py changes of the heads, and the tower and strides of fvit_vitl14.py.
_base_ = 'fvit_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    data_preprocessor=dict(pad_size_divisor=896),
    backbone=dict(
        arch='eva02_large_patch14_clip_336',
        out_indices=(6, 10, 14, 23),
        frozen_stages=24,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(in_channels=1024),
    rpn_head=dict(norm_cfg=dict(type='BN'), anchor_generator=dict(strides=[3.5, 7, 14, 28, 56])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[3.5, 7, 14, 28]),
        bbox_head=dict(
            classes='lvis', base_classes='lvis_base', clip_temperature=50.0, beta=0.4, fc_out_channels=768,
            class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=clip_checkpoint)),
            loss_cls=dict(background_weight=0.9)),
        mask_roi_extractor=dict(
            type='rsc_mm.Float32RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[3.5, 7, 14, 28]),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            class_agnostic=True,
            norm_cfg=dict(type='BN'),
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=True), mask_size=28)),
    test_cfg=dict(
        rcnn=dict(score_thr=1e-4, nms=dict(iou_threshold=0.5), max_per_img=300, mask_thr_binary=0.5)))
