# The Refiner of EVA-02-CLIP ViT-L/14 (R-SC, sec. 4.1 and app. C.1): the last 6 blocks, FC_inter on the layers 9 and 14.
_base_ = 'clipself_vitl14.py'
model = dict(
    type='RefinerTrainer',
    refiner=dict(type='Refiner', num_blocks=6, inter_layers=(9, 14), hidden_dims=4096),
    refiner_loss=dict(type='RefinerLoss', objective='info_nce'))
custom_hooks = [dict(type='RefinerCheckpointHook')]
