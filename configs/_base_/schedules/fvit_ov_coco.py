# F-ViT on OV-COCO: 3 epochs of 8 x 8 images at a constant 1e-4; the reference's best epoch usually is the second.
train_cfg = dict(type='rsc_mm.ResumableEpochLoop', max_epochs=3, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='rsc_mm.BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.1, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=1.0, norm_type=2))
param_scheduler = [dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250)]
# The learning rate is for 64 images a step, as 8 GPUs x 8; another number scales it, which the log says.
auto_scale_lr = dict(enable=True, base_batch_size=64)
