# Ablation of the Refiner, stage 1: K = 3 blocks instead of 4.
# Paper: table 12: boxes / thing masks / stuff masks top-1 77.0 / 78.5 / 52.5; OV-COCO novel AP50 40.7 (K = 4: 40.9)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_depth3.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(refiner=dict(num_blocks=3))
