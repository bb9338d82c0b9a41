# The Creatures world (tools/data/make_shapes.py) for semantic segmentation, read from its panoptic files:
# 12 kinds of things and 8 of stuff; pixels of no class do not count. 'val' is for reporting only, recipes are tuned on
# 'dev'.
data_root = '{{$CREATURES_ROOT:data/creatures}}'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(192, 192), keep_ratio=True),
    dict(type='rsc_mm.LoadPanopticLabels'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
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
test_evaluator = dict(
    type='rsc_mm.SegmentationMetric',
    groups=dict(
        things=('beetle', 'crab', 'gecko', 'heron', 'ibex', 'koala', 'lynx', 'moth', 'newt', 'otter', 'panda', 'raven'),
        stuff=('meadow', 'gravel', 'brook', 'hedge', 'dune', 'thicket', 'marsh', 'plaza')))
