# What the benchmarks of off-the-shelf segmentation share: the short side 448 px, one image at a time.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 448), keep_ratio=True),
    dict(type='rsc_mm.LoadLabelMap'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline))
test_evaluator = dict(type='rsc_mm.SegmentationMetric')
test_cfg = dict(type='TestLoop')
