# The OV-LVIS detector with a CLIPSelf ViT-L/14 on PASCAL VOC 2007, without training: all classes count as base.
# Paper: AP50 / AP75 77.6 / 59.8 (CLIPSelf, table A8)
# Command: bash tools/dist_test.sh configs/fvit/fvit_vitl14_transfer_voc.py CHECKPOINT 8
# Measured here: not measured; see README.md.
_base_ = [
    '../_base_/models/fvit_vitl14_lvis.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/detection_runtime.py',
]
classes = 'voc20'  # prompts read 'dining table' for the label 'diningtable'
val = dict(
    type='VOCDataset', data_root='{{$VOC_ROOT:data/VOCdevkit}}', ann_file='VOC2007/ImageSets/Main/test.txt',
    data_prefix=dict(sub_data_root='VOC2007/'), test_mode=True, pipeline={{_base_.test_pipeline}})
metric = dict(type='rsc_mm.VOCMetric', metric='mAP', iou_thrs=[0.5, 0.75], eval_mode='11points')
model = dict(
    roi_head=dict(
        mask_roi_extractor=None,
        mask_head=None,
        bbox_head=dict(
            classes=classes, base_classes=classes, fixed_temperature=50.0, clip_temperature=120.0, alpha=0.3)))
test_dataloader = dict(dataset=dict(_delete_=True, **val))
test_evaluator = dict(_delete_=True, **metric)
test_cfg = dict(type='TestLoop')
train_dataloader = val_dataloader = val_evaluator = None
