# F-ViT on a frozen EVA-02-CLIP ViT-B/16: one FPN level at a quarter, half, once and twice the patch of 16 px.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
norm_cfg = dict(type='BN')  # sync_bn below makes it synchronous on several GPUs
sync_bn = 'torch'
model = dict(
    type='rsc_mm.FViT',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=640),  # square, as the reference; 32 pads to whole pairs of patches only
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        out_indices=(3, 5, 7, 11),
        frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(type='rsc_mm.ViTPyramidFPN', in_channels=768, out_channels=256, num_outs=5, norm_cfg=norm_cfg),
    rpn_head=dict(
        type='rsc_mm.NormRPNHead',
        in_channels=256,
        feat_channels=256,
        num_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss')),
    roi_head=dict(
        type='rsc_mm.FViTRoIHead',
        bbox_roi_extractor=dict(
            type='rsc_mm.Float32RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='rsc_mm.FViTBBoxHead',
            classes='ov_coco',
            base_classes='coco_base',
            class_embeddings=dict(
                prompts='vild', text_encoder=dict(arch='EVA02-B-16', checkpoint=clip_checkpoint)),
            temperature=50.0,
            clip_temperature=75.0,
            alpha=0.1,
            beta=0.8,
            in_channels=256,
            fc_out_channels=512,
            num_shared_convs=4,
            num_shared_fcs=2,
            num_cls_fcs=1,
            num_reg_fcs=1,
            norm_cfg=norm_cfg,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type='rsc_mm.MaskedCrossEntropyLoss', background_weight=0.6),
            loss_bbox=dict(type='L1Loss'))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, add_gt_as_proposals=True),
            pos_weight=-1,
            debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.4), max_per_img=100)))
custom_hooks = [dict(type='rsc_mm.ClassOrderHook')]
