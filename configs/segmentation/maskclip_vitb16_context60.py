# Off-the-shelf segmentation of PASCAL Context, 59 classes and background (Context60), EVA-02-CLIP ViT-B/16.
# Images: short side 448 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 40, background: the text 'background' and threshold 0.15 (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 12.8 / 29.7 / 35.3.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_context60.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$CONTEXT_ROOT:data/VOCdevkit/VOC2010}}'
model = dict(classes='pc60', background='background', threshold=0.15)
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset',
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        data_root=data_root))
