# R-SC on EVA-02-CLIP ViT-L/14 (R-SC, sec. 3.4 and 4.1); the Refiner is that of models/refiner_vitl14.py, frozen.
_base_ = 'clipself_vitl14.py'
model = dict(
    type='SCRLA',
    scd_loss=dict(type='SCDLoss', loss_weight=0.4, tau_s=0.2, tau_t=0.2),
    refiner=dict(
        type='Refiner', num_blocks=6, inter_layers=(9, 14), hidden_dims=4096,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/refiner_vitl14/refiner.pth',
            command='bash tools/dist_train.sh configs/rsc/refiner_vitl14.py 8')))
