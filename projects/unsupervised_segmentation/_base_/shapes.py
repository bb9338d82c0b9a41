# The tiny EVA-CLIP of projects/shapes_clip on squares of 128 px, as the protocol cuts them: 16 x 16 tokens of 128
# channels, 18 clusters for 10 kinds of things and 8 of stuff. Labels of training reach the linear probe alone.
model = dict(
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(128, 128), bgr_to_rgb=True,
        mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323]),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch=dict(
            img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8)),
        readout='value',
        init_cfg=dict(type='Pretrained', checkpoint='projects/shapes_clip/shapes_clip.pt')),
    num_codes=128,
    head=dict(type='rsc_mm.TransformerHead', num_tokens=16 * 16, hidden_channels=512),
    projection_channels=256,
    cell=2,
    num_classes=18)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='rsc_mm.LoadPanopticLabels'),
    dict(type='Resize', scale=(100000, 128), keep_ratio=True, interpolation='nearest'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='rsc_mm.PanopticLabelDataset',
        data_root='{{$SHAPES_ROOT:data/shapes}}',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img_path='train', seg_map_path='panoptic_train'),
        pipeline=train_pipeline))
