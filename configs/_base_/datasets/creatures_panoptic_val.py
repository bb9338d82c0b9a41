# The val split of Creatures (tools/data/make_shapes.py): 12 kinds of things on 8 kinds of stuff. It is for
# reporting only, recipes are tuned on 'dev'.
data_root = '{{$CREATURES_ROOT:data/creatures}}'
val_dataloader = dict(
    batch_size=25,
    num_workers=0,
    collate_fn=dict(type='region_collate'),
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='RegionDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        img_prefix='val',
        seg_prefix='panoptic_val',
        regions=dict(type='PanopticRegions')))
test_dataloader = val_dataloader
