# Ablation of the Refiner, stage 2: RoIAlign after the Refiner (eq. 12).
# Paper: table 7: OV-COCO novel AP50 40.2 (before it: 40.9)
# Commands: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_late.py 8
#           bash tools/dist_train.sh configs/rsc/ablations/r_sc_clipself_vitb16_late.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../r_sc_clipself_vitb16.py'
model = dict(refiner=dict(
    late=True,
    init_cfg=dict(
        checkpoint='work_dirs/refiner_vitb16_late/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_late.py 8')))
