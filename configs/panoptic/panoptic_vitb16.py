# Open-vocabulary panoptic segmentation on an original EVA-02-CLIP ViT-B/16:
# FC-CLIP's pattern, trained on COCO panoptic.
# Paper: none with this tower and head (CLIPSelf, table 5, has ODISE's masks: see README.md).
# Command: bash tools/dist_train.sh configs/panoptic/panoptic_vitb16.py 8
# Measured here: not measured.
_base_ = [
    '../_base_/models/panoptic_vitb16.py', '../_base_/datasets/coco_panoptic_segments.py',
    '../_base_/schedules/panoptic_368k.py', '../_base_/panoptic_runtime.py'
]
