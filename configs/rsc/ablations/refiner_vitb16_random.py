# Ablation of the Refiner, stage 1: new blocks in the place of the last 4.
# Paper: table 6(b): boxes / thing masks / stuff masks top-1 76.7 / 78.3 / 50.8; OV-COCO novel AP50 39.4 (ours:
#        77.3 / 78.9 / 52.5; 40.9)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_random.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(refiner=dict(init='random'))
