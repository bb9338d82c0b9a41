# The Refiner of EVA-02-CLIP ViT-B/16, 1024 px, 4 local crops an image: stage 1 of R-SC (Qiu et al., ICLR 2025,
# sec. 3.3).
# Paper: not tabulated by itself on region classification; coupling ratio 0.95 (table 9, tower size not said)
# Command: bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/refiner_vitb16.py',
    '../_base_/datasets/coco_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/refiner_4e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=16, dataset=dict(regions=dict(type='LocalCropRegions')))
