# Off-the-shelf segmentation of Cityscapes, 19 classes (val), EVA-02-CLIP ViT-B/16.
# Images: short side 560 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 40, no background (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 12.8 / 26.3 / 32.8.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_cityscapes.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$CITYSCAPES_ROOT:data/cityscapes}}'
model = dict(classes='cityscapes')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 560), keep_ratio=True),
    dict(type='rsc_mm.LoadLabelMap'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
        data_root=data_root))
