# 3 epochs of 2,000 scenes in batches of 8: 750 steps.
_base_ = 'ov_dquo_ov_lvis.py'
train_cfg = dict(max_epochs=3, val_interval=3)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=50, end=750),
]
auto_scale_lr = None
