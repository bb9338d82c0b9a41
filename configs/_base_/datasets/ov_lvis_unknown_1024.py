# OV-LVIS v1 at 1024 px with pseudo boxes of unknown objects: the official OW_LVIS_R3.json, or a file of
# tools/data/generate_unknown_objects.py. 866 base classes and 337 novel ones (rare); boxes alone.
data_root = '{{$LVIS_ROOT:data/lvis_v1}}'
image_size = (1024, 1024)
# One longest side, or with probability 1/2 a crop of a smaller copy of the image, as DETRs do.
longest_side = dict(type='Resize', scale=image_size, keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[
            [longest_side],
            [
                dict(
                    type='RandomChoiceResize', scales=[(400, 4200), (500, 4200), (600, 4200)], keep_ratio=True),
                dict(
                    type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True),
                longest_side,
            ],
        ]),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='rsc_mm.PackUnknownObjects'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    longest_side,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=False,  # EpochSeedHook seeds the workers of each epoch
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ClassBalancedDataset',
        oversample_thr=1e-3,
        dataset=dict(
            type='rsc_mm.UnknownObjectsLVISDataset',
            data_root=data_root,
            ann_file='annotations/lvis_v1_train_base.json',
            unknown_objects='annotations/OW_LVIS_R3.json',
            data_prefix=dict(img=''),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LVISV1Dataset',
        data_root=data_root,
        ann_file='annotations/lvis_v1_val.json',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
# Not mmdet's LVISMetric: lvis 0.5.3, on which it stands, fails under NumPy 1.24 and newer.
val_evaluator = dict(
    type='rsc_mm.LVISDetectionMetric', ann_file=data_root + '/annotations/lvis_v1_val.json', metric='bbox')
test_evaluator = val_evaluator
