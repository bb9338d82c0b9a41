# OV-COCO at 1024 px with pseudo boxes of unknown objects: the official OW_COCO_R2.json, or a file of
# tools/data/generate_unknown_objects.py.
_base_ = 'ov_coco.py'
# One longest side, or with probability 1/2 a crop of a smaller copy of the image, as DETRs do.
longest_side = dict(type='Resize', scale=(1024, 1024), keep_ratio=True)
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
    batch_sampler=None,
    dataset=dict(
        type='rsc_mm.UnknownObjectsCocoDataset',
        unknown_objects='annotations/OW_COCO_R2.json',
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
