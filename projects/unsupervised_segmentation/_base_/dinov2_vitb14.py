# DINOv2 ViT-B/14 without registers, and images of 322 x 322: 23 x 23 tokens. As the public code, images too are resized
# to the nearest pixel.
side = 322
model = dict(
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(side, side), bgr_to_rgb=True,
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='rsc_mm.DINOv2ViT',
        arch='vit_base_patch14_dinov2',
        readout='vanilla',
        init_cfg=dict(type='Pretrained', checkpoint='data/checkpoints/dinov2_vitb14_pretrain.pth')),
    num_codes=2048,
    head=dict(type='rsc_mm.TransformerHead', num_tokens=23 * 23),
    num_classes=27,
    crf=dict())
square = [
    dict(type='Resize', scale=(100000, side), keep_ratio=True, interpolation='nearest'),
    dict(type='CenterCrop', crop_size=side),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='rsc_mm.LoadLabelMap'), *square]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='rsc_mm.LoadLabelMap'),
    dict(type='rsc_mm.HalfCrop'), *square
]
