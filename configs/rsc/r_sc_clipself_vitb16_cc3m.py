# R-SC-CLIPSelf on image patches of CC3M, EVA-02-CLIP ViT-B/16, 1024 px (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: one epoch; table 15: MaskCLIP mIoU on PASCAL Context / COCO-Stuff 38.2 / 25.0
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitb16_cc3m.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_clipself_vitb16_cc3m.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitb16.py', '../_base_/datasets/cc3m.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=1)
model = dict(refiner=dict(init_cfg=dict(
    checkpoint='work_dirs/refiner_vitb16_cc3m/refiner.pth',
    command='bash tools/dist_train.sh configs/rsc/refiner_vitb16_cc3m.py 8')))
val_cfg = val_evaluator = test_cfg = test_evaluator = None  # a folder of images is all it needs
