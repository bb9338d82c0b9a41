# EVA-02-CLIP ViT-B/16 with the value readout, and images of 320 x 320: 20 x 20 tokens. As the public code, images too
# are resized to the nearest pixel.
side = 320
model = dict(
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(side, side), bgr_to_rgb=True,
        mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323]),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        init_cfg=dict(type='Pretrained', checkpoint='data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt')),
    num_codes=2048,
    head=dict(type='rsc_mm.TransformerHead', num_tokens=20 * 20),
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
