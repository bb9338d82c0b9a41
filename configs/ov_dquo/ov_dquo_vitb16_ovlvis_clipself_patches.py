# OV-DQUO ViT-B/16 on OV-LVIS, frozen backbone: a CLIPSelf tower (image patches).
# Paper: box AP rare 29.7 (OV-DQUO, README)
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitb16_ovlvis_clipself_patches.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitb16_lvis.py',
    '../_base_/datasets/ov_lvis_unknown_1024.py',
    '../_base_/schedules/ov_dquo_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitb16_lvis_patches.pth')))
default_hooks = dict(checkpoint=dict(save_best='lvis/bbox_APr'))
