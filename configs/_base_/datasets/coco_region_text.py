# COCO train2017 with the nouns that tools/data/generate_region_text.py matched to proposals.
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='RegionDataset',
        data_root='{{$COCO_ROOT:data/coco}}',
        ann_file='region_text/region_text_train2017.json',
        img_prefix='train2017',
        regions=dict(type='RegionTextRegions'),
        max_bad_images=10))
