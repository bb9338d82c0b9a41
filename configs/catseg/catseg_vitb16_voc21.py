# CAT-Seg on OpenAI's CLIP ViT-B/16, tested on PASCAL VOC 2012 with 20 classes and background (VOC21). As in the public
# evaluation 39 more names of PASCAL Context stand for the background.
# For another tower: --cfg-options model.backbone.readout=... and the fields in which its leaf differs.
# Paper: 77.3 mIoU (CAT-Seg, table 1)
# Command: python tools/test.py configs/catseg/catseg_vitb16_voc21.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_openai_vitb16.py', '../_base_/datasets/catseg_test.py',
    '../_base_/catseg_runtime.py'
]
data_root = '{{$VOC_ROOT:data/VOCdevkit}}/VOC2012'
background = ('bag; bed; bench; book; building; cabinet; ceiling; cloth; computer; cup; door; fence; floor; flower; '
              'food; grass; ground; keyboard; light; mountain; mouse; curtain; platform; sign; plate; road; rock; '
              'shelves; sidewalk; sky; snow; bedclothes; track; tree; truck; wall; water; window; wood')
model = dict(decode_head=dict(vocabulary=dict(test_classes='voc21', aliases=dict(background=background))))
test_dataloader = dict(
    dataset=dict(
        type='rsc_mm.PascalVOC21Dataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass')))
