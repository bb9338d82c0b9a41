# 600 steps of 4 scenes, about once through the training split.
_base_ = 'catseg_80k.py'
train_cfg = dict(max_iters=600, val_interval=600)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=600, T_max=600, eta_min=0)]
