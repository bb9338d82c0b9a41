# Ablation of SCD without Refiner: L_Inter, correlations among regions instead of within them.
# Paper: table 6(a): boxes / thing masks / stuff masks top-1 73.4 / 75.4 / 37.2; OV-COCO novel AP50 37.2
# Command: bash tools/dist_train.sh configs/rsc/ablations/sc_clipself_vitb16_inter_instance.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../sc_clipself_vitb16.py'
model = dict(scd_loss=dict(scope='inter_instance'))
