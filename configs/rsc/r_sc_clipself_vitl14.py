# R-SC-CLIPSelf on proposals of COCO, EVA-02-CLIP ViT-L/14, 896 px (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: table 1: boxes / thing masks / stuff masks top-1 81.7 / 82.9 / 52.5; table 3: OV-COCO novel AP50 48.1
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitl14.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_clipself_vitl14.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitl14.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
