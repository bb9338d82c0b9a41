# The Refiner of EVA-02-CLIP ViT-B/16 on CC3M, 1024 px: stage 1 of R-SC (Qiu et al., ICLR 2025, sec. 3.3).
# Paper: one epoch (app. E, "Training on larger-scale dataset"); not tabulated by itself
# Command: bash tools/dist_train.sh configs/rsc/refiner_vitb16_cc3m.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/refiner_vitb16.py', '../_base_/datasets/cc3m.py',
    '../_base_/schedules/refiner_4e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=16, dataset=dict(regions=dict(type='LocalCropRegions')))
train_cfg = dict(max_epochs=1)
val_cfg = val_evaluator = test_cfg = test_evaluator = None  # a folder of images is all it needs
