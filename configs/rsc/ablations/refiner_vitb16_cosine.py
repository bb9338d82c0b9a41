# Ablation of the Refiner, stage 1: cosine instead of InfoNCE (eq. 14).
# Paper: table 8: OV-COCO novel AP50 34.5, base 50.1 (InfoNCE: 40.9, 54.7)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_cosine.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(refiner_loss=dict(objective='cosine'))
