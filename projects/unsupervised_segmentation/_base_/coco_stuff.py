# COCO-Stuff, 27 classes, from the official pngs of stuffthingmaps. The public protocol takes IIC's lists of 49,629
# images of train2017 and 2,175 of val2017, which are not at hand: without them (`ann_file`) all images count.
data_root = '{{$COCO_ROOT:data/coco}}'
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='rsc_mm.FiveCropDataset',
        dataset=dict(
            type='rsc_mm.COCOStuff27Dataset',
            data_root=data_root,
            data_prefix=dict(img_path='train2017', seg_map_path='stuffthingmaps/train2017'))))
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='rsc_mm.COCOStuff27Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='val2017', seg_map_path='stuffthingmaps/val2017'),
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
    codebook=dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=3877), optim_wrapper=adam),
    segment_head=dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7754),
        optim_wrapper=dict(
            type='rsc_mm.BFloat16OptimWrapper',
            optimizer=dict(type='Adam', lr=4e-3, weight_decay=1e-4),
            clip_grad=dict(max_norm=2))),
    clusters=dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=19385),
        optim_wrapper=adam,
        param_scheduler=[dict(type='StepLR', by_epoch=False, step_size=7754, gamma=0.5)]))
