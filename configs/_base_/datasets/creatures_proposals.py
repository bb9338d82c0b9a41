# The train split of Creatures (tools/data/make_shapes.py) with class-agnostic proposals, COCO json.
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='RegionDataset',
        data_root='{{$CREATURES_ROOT:data/creatures}}',
        ann_file='annotations/proposals_train.json',
        img_prefix='train',
        regions=dict(type='ProposalRegions', max_regions=8)))
