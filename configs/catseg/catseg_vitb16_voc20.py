# CAT-Seg on OpenAI's CLIP ViT-B/16, tested on PASCAL VOC 2012 with 20 classes (VOC20).
# For another tower: --cfg-options model.backbone.readout=... and the fields in which its leaf differs.
# Paper: 94.6 mIoU (CAT-Seg, table 1)
# Command: python tools/test.py configs/catseg/catseg_vitb16_voc20.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_openai_vitb16.py', '../_base_/datasets/catseg_test.py',
    '../_base_/catseg_runtime.py'
]
data_root = '{{$VOC_ROOT:data/VOCdevkit}}/VOC2012'
model = dict(decode_head=dict(vocabulary=dict(test_classes='voc20')))
classes = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
           'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor')
test_dataloader = dict(
    dataset=dict(
        type='PascalVOCDataset',
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass')))
