# The tiny vision foundation model of Shapes: a ViT trained on masks without classes (README.md).
# Command: python projects/shapes_vfm/train.py
# Measured here: see README.md.
_base_ = '../../configs/_base_/default_runtime.py'
model = dict(
    type='SegmentTrainer',
    arch=dict(
        img_size=128, patch_size=8, embed_dim=128, depth=4, num_heads=4, num_classes=0, class_token=False,
        global_pool=''),
    data_preprocessor=dict(
        type='RegionPreprocessor', image_size=128, crop_size=None, patch_size=8,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
train_dataloader = dict(
    batch_size=16, num_workers=0, collate_fn=dict(type='region_collate'), sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='RegionDataset', data_root='{{$SHAPES_ROOT:data/shapes}}', ann_file='annotations/panoptic_train.json',
        img_prefix='train', seg_prefix='panoptic_train', regions=dict(type='PanopticRegions', min_size=1)))
train_cfg = dict(type='ResumableEpochLoop', max_epochs=8)
optim_wrapper = dict(
    clip_grad=dict(max_norm=1.0),
    constructor='DecayGroupsConstructor',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.05, betas=(0.9, 0.99)))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=100),
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
