default_scope = 'rsc_mm'
custom_imports = dict(imports=['rsc_mm.models', 'rsc_mm.datasets', 'rsc_mm.evaluation', 'rsc_mm.engine'])

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    loss_check=dict(type='rsc_mm.LossCheckHook'),
    checkpoint=dict(type='rsc_mm.SafeCheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=3),
    report=dict(type='rsc_mm.ReportHook'))
env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork'), dist_cfg=dict(backend='nccl'))
log_processor = dict(window_size=50, by_epoch=True)
# Add dict(type='WandbVisBackend', init_kwargs=dict(project='rsc_mm')) for Weights & Biases.
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
randomness = dict(seed=0)
log_level = 'INFO'
load_from = None
resume = False
