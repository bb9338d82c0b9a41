# FC-CLIP's schedule: 368,750 steps of 16 images over all GPUs, AdamW, the rate a tenth after 88.9 % and 96.3 %.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=368750, val_interval=50000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05, betas=(0.9, 0.999), eps=1e-8),
    paramwise_cfg=dict(
        custom_keys=dict(query_embed=no_decay, query_feat=no_decay, level_embed=no_decay), norm_decay_mult=0.0),
    clip_grad=dict(max_norm=0.01))
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=368750, milestones=[327778, 355092], gamma=0.1)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
