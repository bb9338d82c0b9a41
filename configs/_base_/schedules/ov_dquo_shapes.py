# An epoch of 2,000 scenes in batches of 4, 500 steps: many small ones, since a DETR matches few queries in each.
_base_ = 'ov_dquo_ov_lvis.py'
train_cfg = dict(max_epochs=1, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=50, end=500),
]
auto_scale_lr = None
