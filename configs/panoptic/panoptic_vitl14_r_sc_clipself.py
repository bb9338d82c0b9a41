# Open-vocabulary panoptic segmentation on an R-SC-CLIPSelf tower, EVA-02-CLIP ViT-L/14:
# FC-CLIP's pattern, trained on COCO panoptic.
# Paper: none with this tower and head (CLIPSelf, table 5, has ODISE's masks: see README.md).
# Command: bash tools/dist_train.sh configs/panoptic/panoptic_vitl14_r_sc_clipself.py 8
# Measured here: not measured.
_base_ = [
    '../_base_/models/panoptic_vitl14.py', '../_base_/datasets/coco_panoptic_segments.py',
    '../_base_/schedules/panoptic_368k.py', '../_base_/panoptic_runtime.py'
]
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/r_sc_clipself_vitl14.pth')))
