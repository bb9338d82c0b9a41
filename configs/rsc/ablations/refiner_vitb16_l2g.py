# Ablation of the Refiner, stage 1: local to global.
# Paper: table 6(b): boxes / thing masks / stuff masks top-1 75.2 / 76.9 / 43.2; OV-COCO novel AP50 38.0 (ours:
#        77.3 / 78.9 / 52.5; 40.9)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_l2g.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(direction='local_to_global')
