# R-SC-CLIPSelf on proposals of COCO, EVA-02-CLIP ViT-B/16, 1024 px: the main run (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: table 1: boxes / thing masks / stuff masks top-1 77.3 / 78.9 / 52.6; table 3: OV-COCO novel AP50 40.9;
#        table 9: coupling ratio 0.97
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_clipself_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
