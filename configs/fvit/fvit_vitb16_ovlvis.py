# F-ViT ViT-B/16 on OV-LVIS, frozen backbone: the original EVA-02-CLIP.
# Paper: mask AP rare / common / frequent / all 11.5 / 12.3 / 20.6 / 15.4 (CLIPSelf, table A7)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovlvis.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16_lvis.py',
    '../_base_/datasets/ov_lvis.py',
    '../_base_/schedules/fvit_ov_lvis.py',
    '../_base_/detection_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='lvis/segm_APr'))
