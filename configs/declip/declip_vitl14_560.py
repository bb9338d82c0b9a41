# DeCLIP on image patches of COCO, EVA-02-CLIP ViT-L/14, 560 px (DeCLIP, Wang et al., CVPR 2025).
# Paper: no number for this one.
# Command: bash tools/dist_train.sh configs/declip/declip_vitl14_560.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/declip_vitl14.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(image_size=560))
