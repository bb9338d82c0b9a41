# R-SC-CLIPSelf on image patches of LVIS v1, EVA-02-CLIP ViT-L/14, 896 px (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: table 3: OV-LVIS mask AP_r 37.2; the regions are those of CLIPSelf's OV-LVIS runs, the paper does not say
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitl14.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_clipself_vitl14_lvis.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitl14.py',
    '../_base_/datasets/lvis_patches.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
