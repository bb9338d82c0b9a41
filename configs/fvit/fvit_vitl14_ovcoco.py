# F-ViT ViT-L/14 on OV-COCO, frozen backbone: the original EVA-02-CLIP.
# Paper: novel / base / all AP50 24.7 / 53.6 / 46.0 (CLIPSelf, table A6)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitl14_ovcoco.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitl14.py',
    '../_base_/datasets/ov_coco_896.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
