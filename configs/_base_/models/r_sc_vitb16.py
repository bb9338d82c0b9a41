# R-SC on EVA-02-CLIP ViT-B/16 (R-SC, sec. 3.4 and 4.1); the Refiner is that of models/refiner_vitb16.py, frozen.
_base_ = 'clipself_vitb16.py'
model = dict(
    type='SCRLA',
    scd_loss=dict(type='SCDLoss', loss_weight=0.2, tau_s=0.2, tau_t=0.2),
    refiner=dict(
        type='Refiner', num_blocks=4, inter_layers=(4, 7), hidden_dims=4096,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/refiner_vitb16/refiner.pth',
            command='bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8')))
