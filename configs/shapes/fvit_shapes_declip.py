# F-ViT in small: base/novel detection on Shapes, on the DeCLIP (qq) tower with its readout; T is the other towers'.
# Commands: python tools/train.py configs/shapes/declip_qq.py
#           python tools/train.py configs/shapes/fvit_shapes_declip.py
#           python tools/test.py configs/shapes/fvit_shapes_declip.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/fvit_shapes.py', '../_base_/datasets/shapes_detection.py', '../_base_/schedules/fvit_shapes.py',
    '../_base_/detection_runtime.py'
]
model = dict(backbone=dict(readout='qq', init_cfg=dict(checkpoint='work_dirs/declip_qq/iter_750.pth')))
