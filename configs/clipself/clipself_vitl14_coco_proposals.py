# CLIPSelf on region proposals of COCO, EVA-02-CLIP ViT-L/14, 896 px (CLIPSelf, Wu et al., ICLR 2024).
# Paper: OV-COCO novel AP50 44.3
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitl14_coco_proposals.py 8
# Measured here: not measured (the data are not at hand; the plumbing runs in CI: see README.md)
_base_ = [
    '../_base_/models/clipself_vitl14.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
