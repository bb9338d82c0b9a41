# Every image below data/cc3m, or in its tar shards (img2dataset), no annotation file: regions are cells of a grid.
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='RegionDataset',
        data_root='{{$CC3M_ROOT:data/cc3m}}',
        ann_file=None,
        img_prefix='',
        regions=dict(type='GridRegions'),
        max_bad_images=1000))
