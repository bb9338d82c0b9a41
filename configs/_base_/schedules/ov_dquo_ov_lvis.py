# OV-DQUO on OV-LVIS: 35 epochs of 8 x 4 images at a constant 1e-4; the pyramid's transposed convolution at a tenth.
train_cfg = dict(type='rsc_mm.ResumableEpochLoop', max_epochs=35, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='rsc_mm.BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4, betas=(0.9, 0.999)),
    paramwise_cfg=dict(custom_keys={'neck.up2': dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=0.1, norm_type=2))
param_scheduler = []
# The learning rate is for 32 images a step, as 8 GPUs x 4; another number scales it, which the log says.
auto_scale_lr = dict(enable=True, base_batch_size=32)
