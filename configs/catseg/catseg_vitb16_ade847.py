# CAT-Seg on OpenAI's CLIP ViT-B/16, tested on ADE20K with 847 classes;
# 16-bit label maps of tools/data/prepare_ade847.py.
# For another tower: --cfg-options model.backbone.readout=... and the fields in which its leaf differs.
# Paper: 12.0 mIoU (CAT-Seg, table 1)
# Command: python tools/test.py configs/catseg/catseg_vitb16_ade847.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_openai_vitb16.py', '../_base_/datasets/catseg_test.py',
    '../_base_/catseg_runtime.py'
]
data_root = '{{$ADE_FULL_ROOT:data/ade_full}}'
model = dict(
    decode_head=dict(vocabulary=dict(test_classes='ade847')),
    test_cfg=dict(at_once=1))  # one view after the other: a third of the memory, the same labels
test_dataloader = dict(
    dataset=dict(
        type='rsc_mm.ADE20K847Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='validation/images', seg_map_path='validation/labels')))
