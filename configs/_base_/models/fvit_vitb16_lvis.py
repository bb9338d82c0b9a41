# What OV-LVIS changes: a norm in the RPN, class-agnostic masks, 1,203 classes of which the 866 common and frequent are
# base, and the thresholds.
_base_ = 'fvit_vitb16.py'
model = dict(
    data_preprocessor=dict(pad_size_divisor=1024),
    rpn_head=dict(norm_cfg=dict(type='BN')),
    roi_head=dict(
        bbox_head=dict(
            classes='lvis', base_classes='lvis_base', clip_temperature=50.0, beta=0.6,
            loss_cls=dict(background_weight=0.9)),
        mask_roi_extractor=dict(
            type='rsc_mm.Float32RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
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
