# UPerNet of MMSegmentation on an R-SC-tuned EVA-02-CLIP ViT-B/16 in place of its ViT-B/16 (Xiao et al., ECCV 2018).
# Paper: no figure for this combination.
# Command: python tools/train.py projects/dropin_mmseg/upernet_vitb16.py
# Measured here: not measured (the plumbing runs in a test on real images)
# As 'mmseg::vit/...', which the maintained build of MMEngine finds beside the official build of MMSegmentation only.
_base_ = __import__('mmseg').__path__[0] + '/.mim/configs/vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py'
custom_imports = dict(imports=['rsc_mm.models'])
model = dict(
    data_preprocessor=dict(mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323]),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        out_indices=(2, 5, 8, 11),
        frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/r_sc_clipself_vitb16.pth')))
root = '{{$ADE_ROOT:data/ade/ADEChallengeData2016}}'
train_dataloader = dict(dataset=dict(data_root=root))
val_dataloader = dict(dataset=dict(data_root=root))
test_dataloader = val_dataloader
