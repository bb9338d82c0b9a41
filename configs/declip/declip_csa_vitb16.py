# DeCLIP with Q+K, EVA-02-CLIP ViT-B/16, 1024 px (DeCLIP, Wang et al., CVPR 2025).
# Paper: thing / stuff masks top-1 77.3 / 53.8
# Command: bash tools/dist_train.sh configs/declip/declip_csa_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/declip_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
model = dict(backbone=dict(readout=dict(type='csa')))
