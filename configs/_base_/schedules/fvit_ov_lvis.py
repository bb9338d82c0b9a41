# F-ViT on OV-LVIS: 48 epochs of 8 x 8 images, 1e-4, a tenth after 32 and again after 44.
_base_ = 'fvit_ov_coco.py'
train_cfg = dict(max_epochs=48, val_interval=12)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=48, milestones=[32, 44], gamma=0.1),
]
