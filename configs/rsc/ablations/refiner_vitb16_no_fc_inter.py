# Ablation of the Refiner, stage 1: without FC_inter (eq. 11).
# Paper: table 7: OV-COCO novel AP50 40.1 or 40.3, the marks of the table do not survive in its text (both parts: 40.9)
# Command: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_no_fc_inter.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../refiner_vitb16.py'
model = dict(refiner=dict(inter_layers=None))
