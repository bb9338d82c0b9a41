# Off-the-shelf segmentation of PASCAL VOC 2012, 20 classes without background (VOC20), EVA-02-CLIP ViT-B/16.
# Images: short side 448 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 40, no background (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 55.9 / 78.3 / 85.0.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_voc20.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$VOC_ROOT:data/VOCdevkit}}/VOC2012'
classes = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
           'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor')
model = dict(classes='voc20')
test_dataloader = dict(
    dataset=dict(
        type='PascalVOCDataset',
        metainfo=dict(classes=classes),
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        data_root=data_root))
