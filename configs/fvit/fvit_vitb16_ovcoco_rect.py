# F-ViT ViT-B/16 on OV-COCO, images padded to whole pairs of patches only: recommended, not what the paper did. On any
# config, in training and test: --cfg-options model.data_preprocessor.pad_size_divisor=32 (28 for L/14).
# Paper: with squares, novel / base / all AP50 37.6 / 54.9 / 50.4 (CLIPSelf, table A6)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovcoco_rect.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16.py',
    '../_base_/datasets/ov_coco.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(init_cfg=dict(checkpoint='data/checkpoints/clipself_vitb16_coco_proposals.pth')))
