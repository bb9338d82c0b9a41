# The OV-LVIS detector with a CLIPSelf ViT-L/14 on COCO, 80 classes, without training: all classes count as base.
# Paper: AP / AP50 / AP75 40.5 / 63.8 / 44.3 (CLIPSelf, table A8)
# Command: bash tools/dist_test.sh configs/fvit/fvit_vitl14_transfer_coco.py CHECKPOINT 8
# Measured here: not measured; see README.md.
_base_ = [
    '../_base_/models/fvit_vitl14_lvis.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/detection_runtime.py',
]
root = '{{$COCO_ROOT:data/coco}}'
classes = 'coco'
val = dict(
    type='CocoDataset', data_root=root, ann_file='annotations/instances_val2017.json',
    data_prefix=dict(img='val2017/'), test_mode=True, pipeline={{_base_.test_pipeline}})
metric = dict(type='rsc_mm.CocoMetric', ann_file=root + '/annotations/instances_val2017.json', metric='bbox')
model = dict(
    roi_head=dict(
        mask_roi_extractor=None,
        mask_head=None,
        bbox_head=dict(
            classes=classes, base_classes=classes, fixed_temperature=50.0, clip_temperature=120.0, alpha=0.2)))
test_dataloader = dict(dataset=dict(_delete_=True, **val))
test_evaluator = dict(_delete_=True, **metric)
test_cfg = dict(type='TestLoop')
train_dataloader = val_dataloader = val_evaluator = None
