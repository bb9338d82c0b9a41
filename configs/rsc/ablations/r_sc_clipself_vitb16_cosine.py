# Ablation of the Refiner, stage 2: cosine instead of InfoNCE (eq. 14).
# Paper: table 8: OV-COCO novel AP50 34.5, base 50.1 (InfoNCE: 40.9, 54.7)
# Commands: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_cosine.py 8
#           bash tools/dist_train.sh configs/rsc/ablations/r_sc_clipself_vitb16_cosine.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../r_sc_clipself_vitb16.py'
model = dict(refiner=dict(
    init_cfg=dict(
        checkpoint='work_dirs/refiner_vitb16_cosine/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_cosine.py 8')))
