# OV-DQUO ViT-L/14 on OV-LVIS, frozen backbone: a CLIPSelf tower (image patches).
# Paper: box AP rare 39.3 (OV-DQUO, README)
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitl14_ovlvis_clipself_patches.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitl14_lvis.py',
    '../_base_/datasets/ov_lvis_unknown_896.py',
    '../_base_/schedules/ov_dquo_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitl14_lvis_patches.pth')))
default_hooks = dict(checkpoint=dict(save_best='lvis/bbox_APr'))
