# F-ViT in small: base/novel detection on Shapes, on the original tiny tower (CLIPSelf, Wu et al., ICLR 2024, sec. 4.2).
# Commands: python tools/train.py configs/shapes/fvit_shapes.py
#           python tools/test.py configs/shapes/fvit_shapes.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/fvit_shapes.py', '../_base_/datasets/shapes_detection.py', '../_base_/schedules/fvit_shapes.py',
    '../_base_/detection_runtime.py'
]
