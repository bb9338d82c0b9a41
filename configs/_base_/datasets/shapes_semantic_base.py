# Shapes for training a segmentor on base classes: pixels of the novel shapes (heart, cross, hourglass) have no class.
# Validation on all 18 classes. 'val' is for reporting only, recipes are tuned on 'dev'.
data_root = '{{$SHAPES_ROOT:data/shapes}}'
base_classes = ('circle', 'square', 'triangle', 'star', 'ring', 'crescent', 'arrow', 'stripes', 'checks', 'dots',
                'bricks', 'waves', 'zigzags', 'mesh', 'clouds')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='rsc_mm.LoadPanopticLabels'),
    dict(type='Resize', scale=(128, 128)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='rsc_mm.PanopticLabelDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img_path='train', seg_map_path='panoptic_train'),
        classes=base_classes,
        pipeline=train_pipeline))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='rsc_mm.LoadPanopticLabels'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(
    batch_size=25,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='rsc_mm.PanopticLabelDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img_path='val', seg_map_path='panoptic_val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(
    type='rsc_mm.SegmentationMetric',
    groups=dict(
        trained=base_classes,
        held_out=('heart', 'cross', 'hourglass'),
        trained_things=base_classes[:7],
        stuff=base_classes[7:]))
