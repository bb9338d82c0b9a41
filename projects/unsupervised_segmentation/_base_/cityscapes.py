# Cityscapes, 27 classes: trained on five crops of the 2,975 fine training images, tested on the 500 of val.
data_root = '{{$CITYSCAPES_ROOT:data/cityscapes}}'
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='rsc_mm.FiveCropDataset',
        dataset=dict(
            type='rsc_mm.Cityscapes27Dataset',
            data_root=data_root,
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'))))
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='rsc_mm.Cityscapes27Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        test_mode=True))
test_evaluator = [
    dict(type='rsc_mm.ClusterMetric', prefix='clusters'),
    dict(type='rsc_mm.ClusterMetric', prefix='crf', field='pred_crf', per_class=False),
    dict(type='rsc_mm.LinearProbeMetric', prefix='linear', per_class=False),
]
# The public code's 1, 2 and 5 epochs. Its four processes never average, so that the one that is kept has seen a quarter
# of the images, at four times the rate: so does this, in one process.
adam = dict(type='rsc_mm.BFloat16OptimWrapper', optimizer=dict(type='Adam', lr=4e-3))
steps = dict(
    codebook=dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=232), optim_wrapper=adam),
    segment_head=dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=464),
        optim_wrapper=dict(**adam, clip_grad=dict(max_norm=1))),
    clusters=dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=1160),
        optim_wrapper=adam,
        param_scheduler=[dict(type='StepLR', by_epoch=False, step_size=464, gamma=0.5)]))
