# Off-the-shelf segmentation of PASCAL VOC 2012, 20 classes and background (VOC21), EVA-02-CLIP ViT-B/16.
# Images: short side 448 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 80, background: 26 texts and threshold 0.4 (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 23.4 / 47.0 / 59.7.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_voc21.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$VOC_ROOT:data/VOCdevkit}}/VOC2012'
model = dict(classes='voc21', background='background', threshold=0.4, logit_scale=80.)
test_dataloader = dict(
    dataset=dict(
        type='rsc_mm.PascalVOC21Dataset',
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        data_root=data_root))
