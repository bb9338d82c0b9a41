# Ablation of the Refiner, stage 2: K = 2 blocks instead of 4.
# Paper: table 12: boxes / thing masks / stuff masks top-1 76.3 / 78.0 / 50.7; OV-COCO novel AP50 40.3 (K = 4: 40.9)
# Commands: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_depth2.py 8
#           bash tools/dist_train.sh configs/rsc/ablations/r_sc_clipself_vitb16_depth2.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../r_sc_clipself_vitb16.py'
model = dict(refiner=dict(
    num_blocks=2,
    init_cfg=dict(
        checkpoint='work_dirs/refiner_vitb16_depth2/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_depth2.py 8')))
