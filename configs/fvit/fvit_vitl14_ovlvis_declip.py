# F-ViT ViT-L/14 on OV-LVIS, frozen backbone: a DeCLIP tower with its readout and T = 90.
# Paper: mask AP rare / common / frequent / all 37.2 / 35.2 / 36.5 / 36.0 (DeCLIP, table 13)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovlvis_declip.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14_lvis.py',
    '../_base_/datasets/ov_lvis_896.py',
    '../_base_/schedules/fvit_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(
        readout='qq',
        init_cfg=dict(checkpoint='data/checkpoints/declip_vitl14.pth')),
    roi_head=dict(bbox_head=dict(clip_temperature=90.0)))
default_hooks = dict(checkpoint=dict(save_best='lvis/segm_APr'))
