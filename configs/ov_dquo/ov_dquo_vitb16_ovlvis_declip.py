# OV-DQUO ViT-B/16 on OV-LVIS, frozen backbone: a DeCLIP tower with its readout and temperature 50.
# Paper: box AP rare / all 31.0 / 27.7 (DeCLIP, table 2)
# Command: bash tools/dist_train.sh configs/ov_dquo/ov_dquo_vitb16_ovlvis_declip.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/ov_dquo_vitb16_lvis.py',
    '../_base_/datasets/ov_lvis_unknown_1024.py',
    '../_base_/schedules/ov_dquo_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(readout='qq', init_cfg=dict(checkpoint='data/checkpoints/declip_vitb16.pth')),
    bbox_head=dict(temperature=50.0))
default_hooks = dict(checkpoint=dict(save_best='lvis/bbox_APr'))
