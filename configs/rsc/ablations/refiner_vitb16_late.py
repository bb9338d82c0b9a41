# Ablation of the Refiner, stage 1: RoIAlign after the Refiner (eq. 12).
# Paper: table 7: OV-COCO novel AP50 40.2 (before it: 40.9)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_late.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(refiner=dict(late=True))
