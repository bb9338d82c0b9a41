# Mask R-CNN of MMDetection on an R-SC-tuned EVA-02-CLIP ViT-B/16 in place of its ResNet-50 (He et al., ICCV 2017).
# Paper: no figure for this combination.
# Command: python tools/train.py projects/dropin_mmdet/mask_rcnn_vitb16.py
# Measured here: not measured (the plumbing runs in a test on real images)
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['rsc_mm.models', 'rsc_mm.models.detectors'])
model = dict(
    data_preprocessor=dict(mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323]),
    backbone=dict(
        _delete_=True,
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        out_indices=(3, 5, 7, 11),
        frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/r_sc_clipself_vitb16.pth')),
    neck=dict(_delete_=True, type='rsc_mm.ViTPyramidFPN', in_channels=768, out_channels=256, num_outs=5))
root = '{{$COCO_ROOT:data/coco}}'
train_dataloader = dict(dataset=dict(data_root=root))
val_dataloader = dict(dataset=dict(data_root=root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator
