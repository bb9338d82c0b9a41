# The OV-LVIS detector with a CLIPSelf ViT-L/14 on Objects365 v1, without training: all classes count as base.
# Paper: AP / AP50 / AP75 19.5 / 31.3 / 20.7 (CLIPSelf, table A8)
# Command: bash tools/dist_test.sh configs/fvit/fvit_vitl14_transfer_objects365v1.py CHECKPOINT 8
# Measured here: not measured; see README.md.
_base_ = [
    '../_base_/models/fvit_vitl14_lvis.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/detection_runtime.py',
]
root = '{{$OBJECTS365_ROOT:data/objects365v1}}'
classes = root + '/annotations/objects365_val.json'
val = dict(
    type='Objects365V1Dataset', data_root=root, ann_file='annotations/objects365_val.json',
    data_prefix=dict(img='val/'), test_mode=True, pipeline={{_base_.test_pipeline}})
metric = dict(type='rsc_mm.CocoMetric', ann_file=classes, metric='bbox', sort_categories=True)
model = dict(
    roi_head=dict(
        mask_roi_extractor=None,
        mask_head=None,
        bbox_head=dict(
            classes=classes, base_classes=classes, class_embeddings=dict(aliases='objects365v1'),
            fixed_temperature=50.0, clip_temperature=120.0, alpha=0.3)))
test_dataloader = dict(dataset=dict(_delete_=True, **val))
test_evaluator = dict(_delete_=True, **metric)
test_cfg = dict(type='TestLoop')
train_dataloader = val_dataloader = val_evaluator = None
