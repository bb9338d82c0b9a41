# 500 steps of 4 scenes, once through the training split.
_base_ = 'panoptic_368k.py'
train_cfg = dict(max_iters=500, val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=0.1))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=500, eta_min=0),
]
