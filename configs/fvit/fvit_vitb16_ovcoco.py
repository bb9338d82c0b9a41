# F-ViT ViT-B/16 on OV-COCO, frozen backbone: the original EVA-02-CLIP.
# Paper: novel / base / all AP50 17.5 / 41.0 / 34.9 (CLIPSelf, table A6)
# Command: bash tools/dist_train.sh configs/fvit/fvit_vitb16_ovcoco.py 8
# Measured here: not measured; that it trains and tests is in README.md.
_base_ = [
    '../_base_/models/fvit_vitb16.py',
    '../_base_/datasets/ov_coco.py',
    '../_base_/schedules/fvit_ov_coco.py',
    '../_base_/detection_runtime.py',
]
