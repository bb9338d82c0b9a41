# CLIPSelf on image patches of COCO with 4 x 4 window attention, EVA-02-CLIP ViT-B/16, 1024 px (CLIPSelf, table 7).
# Paper: boxes / thing masks / stuff masks top-1 73.3 / 74.9 / 48.6; OV-COCO novel AP50 33.6
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitb16_coco_patches_windows.py 8
# Measured here: not measured (the data are not at hand; the plumbing runs in CI: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
model = dict(backbone=dict(windows=4))
