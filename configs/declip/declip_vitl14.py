# DeCLIP on image patches of COCO, EVA-02-CLIP ViT-L/14, 896 px (DeCLIP, Wang et al., CVPR 2025).
# Paper: OV-COCO novel AP50 46.2; OV-LVIS mask AP_r 37.2
# Command: bash tools/dist_train.sh configs/declip/declip_vitl14.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/declip_vitl14.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
