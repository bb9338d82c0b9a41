# Ablation of SCD: the whole image as the one region.
# Paper: table 14: boxes / thing masks / stuff masks top-1 75.6 / 77.8 / 50.2; OV-COCO novel AP50 39.7 (local:
#        77.3 / 78.9 / 52.5; 40.9)
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8
#           bash tools/dist_train.sh configs/rsc/ablations/r_sc_clipself_vitb16_global.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../r_sc_clipself_vitb16.py'
model = dict(scd_loss=dict(scope='image'))
