# 2 epochs of the scenes with base things in batches of 8: 236 steps.
_base_ = 'fvit_ov_coco.py'
train_cfg = dict(max_epochs=2, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=50, end=250),
]
auto_scale_lr = None
