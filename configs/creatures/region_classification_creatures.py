# Zero-shot classification of the regions of the Creatures val split: boxes, masks and image crops, 20 classes.
# Command: python tools/test.py configs/creatures/region_classification_creatures.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/creatures_clip.py',
    '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/default_runtime.py'
]
model = dict(type='RegionEncoder', backbone=dict(init_cfg=None))
test_cfg = dict(type='TestLoop')
train_dataloader = None
val_dataloader = None
val_evaluator = None
custom_hooks = None
