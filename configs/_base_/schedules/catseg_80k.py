# 80,000 steps of 4 images over all GPUs, AdamW, cosine without warm-up; CLIP learns at a hundredth of the rate, norms
# have no weight decay, and the norm of the whole gradient is cut to 0.01.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.01),
            'decode_head.vocabulary': dict(lr_mult=0.01)
        }, norm_decay_mult=0.),
    clip_grad=dict(max_norm=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=80000, T_max=80000, eta_min=0)]
