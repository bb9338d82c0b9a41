# CAT-Seg on OpenAI's CLIP ViT-B/16, tested on Pascal Context with 459 classes (PC-459);
# 16-bit label maps of tools/data/prepare_pascal_context.py.
# For another tower: --cfg-options model.backbone.readout=... and the fields in which its leaf differs.
# Paper: 19.0 (classes in the annotation alone: mIoU_present) mIoU (CAT-Seg, table 1)
# Command: python tools/test.py configs/catseg/catseg_vitb16_pc459.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_openai_vitb16.py', '../_base_/datasets/catseg_test.py',
    '../_base_/catseg_runtime.py'
]
data_root = '{{$CONTEXT_ROOT:data/VOCdevkit/VOC2010}}'
model = dict(
    decode_head=dict(vocabulary=dict(test_classes='pc459')),
    test_cfg=dict(at_once=1))  # one view after the other: a third of the memory, the same labels
test_dataloader = dict(
    dataset=dict(
        type='rsc_mm.PascalContext459Dataset',
        data_root=data_root,
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='context459')))
