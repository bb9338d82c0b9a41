# Ablation of the Refiner, stage 2: PACL's vision embedder on top of the tower.
# Paper: table 6(b): boxes / thing masks / stuff masks top-1 76.4 / 77.6 / 49.9; OV-COCO novel AP50 39.2 (ours:
#        77.3 / 78.9 / 52.5; 40.9)
# Commands: bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_pacl.py 8
#           bash tools/dist_train.sh configs/rsc/ablations/r_sc_clipself_vitb16_pacl.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = '../r_sc_clipself_vitb16.py'
model = dict(refiner=dict(
    init='pacl',
    init_cfg=dict(
        checkpoint='work_dirs/refiner_vitb16_pacl/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/ablations/refiner_vitb16_pacl.py 8')))
