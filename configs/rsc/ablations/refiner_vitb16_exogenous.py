# Ablation of the Refiner, stage 1: new blocks on top of the tower.
# Paper: table 6(b): boxes / thing masks / stuff masks top-1 76.8 / 78.2 / 51.4; OV-COCO novel AP50 39.9 (ours:
#        77.3 / 78.9 / 52.5; 40.9)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_exogenous.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(refiner=dict(init='exogenous'))
