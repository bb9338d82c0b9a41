# DeCLIP with DINO-B/16 as VFM, EVA-02-CLIP ViT-B/16, 1024 px (DeCLIP, Wang et al., CVPR 2025).
# Paper: table 6: thing / stuff masks top-1 67.6 / 47.4
# Command: bash tools/dist_train.sh configs/declip/declip_vitb16_dinob16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/declip_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
model = dict(vfm=dict(
    arch='vit_base_patch16_224.dino',
    init_cfg=dict(checkpoint='data/checkpoints/dino_vitbase16_pretrain.pth')))
