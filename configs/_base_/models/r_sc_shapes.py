# Stage 2 of R-SC on the tiny tower. Lambda and temperatures were chosen on the dev split: configs/shapes/README.md.
_base_ = 'shapes_clip.py'
model = dict(
    type='SCRLA',
    scd_loss=dict(type='SCDLoss', loss_weight=0.05, tau_s=0.05, tau_t=0.05),
    refiner=dict(
        type='Refiner', num_blocks=2, inter_layers=(2, 3), hidden_dims=1024,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/refiner/refiner.pth',
            command='python tools/train.py configs/shapes/refiner.py')))
