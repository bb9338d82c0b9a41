# R-SC, stage 2 (sec. 4.1): AdamW 2e-5, 6 epochs; weight decay, warm-up and cosine as CLIPSelf.
train_cfg = dict(type='ResumableEpochLoop', max_epochs=6, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    constructor='DecayGroupsConstructor',
    optimizer=dict(type='AdamW', lr=2e-5, weight_decay=0.1, betas=(0.9, 0.999), eps=1e-8, fused=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=1000),
]
