# The Refiner of EVA-02-CLIP ViT-B/16 (R-SC, sec. 4.1 and app. C.1): the last 4 blocks, FC_inter on the layers 4 and 7.
_base_ = 'clipself_vitb16.py'
model = dict(
    type='RefinerTrainer',
    refiner=dict(type='Refiner', num_blocks=4, inter_layers=(4, 7), hidden_dims=4096),
    refiner_loss=dict(type='RefinerLoss', objective='info_nce'))
custom_hooks = [dict(type='RefinerCheckpointHook')]
