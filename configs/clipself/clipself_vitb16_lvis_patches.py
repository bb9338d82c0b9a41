# CLIPSelf on image patches of LVIS v1, EVA-02-CLIP ViT-B/16, 1024 px (CLIPSelf, Wu et al., ICLR 2024).
# Paper: OV-LVIS mask AP_r 25.3
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitb16_lvis_patches.py 8
# Measured here: not measured (the data are not at hand; the plumbing runs in CI: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/lvis_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
