# F-ViT ViT-B/16 on OV-LVIS, frozen backbone: an R-SC-CLIPSelf tower.
# Paper: mask AP rare / common / frequent / all 27.5 / 22.7 / 29.8 / 26.3 (R-SC, table 11)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovlvis_r_sc_clipself.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16_lvis.py',
    '../_base_/datasets/ov_lvis.py',
    '../_base_/schedules/fvit_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/r_sc_clipself_vitb16_lvis.pth')))
default_hooks = dict(checkpoint=dict(save_best='lvis/segm_APr'))
