# CAUSE-TR in small on Shapes: 18 clusters, the tiny CLIP or any tower distilled from it by --checkpoint.
# Paper: no figure. The protocol is that of R-SC's table 5.
# Command: python projects/unsupervised_segmentation/run.py projects/unsupervised_segmentation/shapes.py
# Measured here: see README.md.
_base_ = ['_base_/shapes.py', '../../configs/_base_/datasets/shapes_semantic.py', '_base_/runtime.py']
test_dataloader = dict(dataset=dict(pipeline={{_base_.train_pipeline}}))
groups = {{_base_.test_evaluator.groups}}
test_evaluator = [
    dict(type='rsc_mm.ClusterMetric', prefix='clusters', groups=groups),
    dict(type='rsc_mm.LinearProbeMetric', prefix='linear', groups=groups, per_class=False),
]
adam = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-3))
steps = dict(
    codebook=dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=80), optim_wrapper=adam),
    segment_head=dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=200),
        optim_wrapper=dict(**adam, clip_grad=dict(max_norm=1))),
    clusters=dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=200),
        optim_wrapper=adam,
        param_scheduler=[dict(type='StepLR', by_epoch=False, step_size=80, gamma=0.5)]))
