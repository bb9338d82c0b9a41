# F-ViT ViT-L/14 on OV-LVIS, frozen backbone: a CLIPSelf tower (image patches).
# Paper: mask AP rare / common / frequent / all 34.9 / 34.6 / 35.6 / 35.1 (CLIPSelf, table A7)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovlvis_clipself_patches.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14_lvis.py',
    '../_base_/datasets/ov_lvis_896.py',
    '../_base_/schedules/fvit_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitl14_lvis_patches.pth')))
default_hooks = dict(checkpoint=dict(save_best='lvis/segm_APr'))
