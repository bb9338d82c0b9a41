# COCO train2017 without annotations: regions are the cells of a random grid.
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='RegionDataset',
        data_root='{{$COCO_ROOT:data/coco}}',
        ann_file='annotations/instances_train2017.json',
        img_prefix='train2017',
        regions=dict(type='GridRegions'),
        max_bad_images=10))
