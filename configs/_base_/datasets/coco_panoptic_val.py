# COCO panoptic val2017: 133 classes, boxes, thing masks and stuff masks (CLIPSelf, table 2).
data_root = '{{$COCO_ROOT:data/coco}}'
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='RegionDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        img_prefix='val2017',
        regions=dict(type='PanopticRegions')))
test_dataloader = val_dataloader
