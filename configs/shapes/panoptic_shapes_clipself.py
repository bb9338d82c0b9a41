# Panoptic segmentation in small, on the CLIPSelf tower (FC-CLIP's pattern): trained without heart, cross and
# hourglass, tested on all 18 classes. Masks classified by CLIP alone: --cfg-options model.alpha=1 model.beta=1.
# Commands: python tools/train.py configs/shapes/clipself_proposals.py
#           python tools/train.py configs/shapes/panoptic_shapes_clipself.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/panoptic_shapes.py', '../_base_/datasets/shapes_panoptic_segments.py',
    '../_base_/schedules/panoptic_shapes.py', '../_base_/panoptic_runtime.py'
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/clipself_proposals/iter_750.pth')))
