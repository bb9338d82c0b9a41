# What the other benchmarks of CAT-Seg share: the short side 640 px, one image at a time. Pixels without a class are
# 65535, since 255 is a class of the larger vocabularies.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    dict(type='rsc_mm.LoadLabelMap', ignore_index=65535),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline))
test_evaluator = dict(type='rsc_mm.SegmentationMetric', ignore_index=65535)
test_cfg = dict(type='TestLoop')
