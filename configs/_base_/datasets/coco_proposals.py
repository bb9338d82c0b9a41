# COCO train2017 with class-agnostic proposals, COCO json: images, annotations with image_id and bbox.
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='RegionDataset',
        data_root='{{$COCO_ROOT:data/coco}}',
        ann_file='proposals/rpn_train2017.json',
        img_prefix='train2017',
        regions=dict(type='ProposalRegions'),
        max_bad_images=10))
