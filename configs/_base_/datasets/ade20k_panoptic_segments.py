# ADE20K panoptic for testing (2,000 images, 100 things and 50 kinds of stuff); the json and pngs are written by mmdet's
# tools/dataset_converters/ade20k2coco.py --task panoptic.
data_root = '{{$ADE_ROOT:data/ade/ADEChallengeData2016}}'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'seg_map_path', 'segments')),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='rsc_mm.PanopticSegmentDataset',
        data_root=data_root,
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(img_path='images/validation', seg_map_path='ade20k_panoptic_val'),
        test_mode=True,
        pipeline=test_pipeline))
test_evaluator = dict(type='rsc_mm.PanopticQuality')
test_cfg = dict(type='TestLoop')
