# Stage 1 of R-SC on Creatures: the Refiner of the tiny tower, global to local (Qiu et al., ICLR 2025, sec. 3.3).
# Commands: python tools/train.py configs/creatures/refiner_creatures.py
#           python tools/test.py configs/creatures/refiner_creatures.py work_dirs/refiner_creatures/refiner.pth
# Measured here: see README.md.
_base_ = 'clipself_grid_creatures.py'
model = dict(
    _delete_=True,
    type='RefinerTrainer',
    backbone={{_base_.model.backbone}},
    refiner=dict(type='Refiner', num_blocks=2, inter_layers=(1, 2), hidden_dims=1024),
    refiner_loss=dict(type='RefinerLoss'),
    data_preprocessor={{_base_.model.data_preprocessor}})
train_dataloader = dict(dataset=dict(regions=dict(_delete_=True, type='LocalCropRegions')))
custom_hooks = [dict(type='RefinerCheckpointHook')]
