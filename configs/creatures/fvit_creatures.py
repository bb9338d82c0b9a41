# F-ViT in small: base/novel detection on Creatures, on the original tiny tower
# (CLIPSelf, Wu et al., ICLR 2024, sec. 4.2).
# Commands: python tools/train.py configs/creatures/fvit_creatures.py
#           python tools/test.py configs/creatures/fvit_creatures.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/fvit_creatures.py', '../_base_/datasets/creatures_detection.py',
    '../_base_/schedules/fvit_creatures.py', '../_base_/detection_runtime.py'
]
