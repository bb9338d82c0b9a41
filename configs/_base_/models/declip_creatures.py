# DeCLIP on the tiny tower of Creatures; the VFM is the tiny ViT of projects/shapes_vfm, trained on masks
# without classes.
_base_ = 'creatures_clip.py'
model = dict(
    type='DeCLIP',
    # The tower's file names the readout 'value', with which it was pre-trained.
    backbone=dict(readout=dict(_delete_=True, type='qq', scaled=False), init_cfg=dict(readout='value')),
    vfm=dict(
        type='VFMTeacher',
        arch=dict(
            img_size=192, patch_size=8, embed_dim=128, depth=4, num_heads=4, num_classes=0, class_token=False,
            global_pool=''),
        init_cfg=dict(type='Pretrained', checkpoint='projects/shapes_vfm/creatures_vfm.pt')),
    context_loss=dict(type='ContextCorrelationLoss', loss_weight=0.25))
