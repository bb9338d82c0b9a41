# Ablation of SCD without Refiner: L_F, the Frobenius norm of the correlations' difference.
# Paper: table 6(a): boxes / thing masks / stuff masks top-1 73.5 / 75.2 / 35.9; OV-COCO novel AP50 36.8
# Command: bash tools/dist_train.sh configs/rsc/ablations/sc_clipself_vitb16_frobenius.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../sc_clipself_vitb16.py'
model = dict(scd_loss=dict(distance='frobenius'))
