# F-ViT in small: base/novel detection on Creatures, on the CLIPSelf tower; only the backbone's checkpoint differs.
# Commands: python tools/train.py configs/creatures/clipself_proposals_creatures.py
#           python tools/train.py configs/creatures/fvit_creatures_clipself.py
#           python tools/test.py configs/creatures/fvit_creatures_clipself.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/fvit_creatures.py', '../_base_/datasets/creatures_detection.py',
    '../_base_/schedules/fvit_creatures.py', '../_base_/detection_runtime.py'
]
model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/clipself_proposals_creatures/iter_375.pth')))
