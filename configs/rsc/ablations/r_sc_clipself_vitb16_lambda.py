# Ablation of SCD: its weight lambda, 0.4 instead of 0.2.
# Paper: fig. 14, without numbers in its text
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8
#           bash tools/dist_train.sh configs/rsc/ablations/r_sc_clipself_vitb16_lambda.py 8
# Another value: add --work-dir work_dirs/r_sc_clipself_vitb16_lambda01 --cfg-options model.scd_loss.loss_weight=0.1
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../r_sc_clipself_vitb16.py'
model = dict(scd_loss=dict(loss_weight=0.4))
