# Zero-shot classification of the regions of the Shapes val split: boxes, masks and image crops, 18 classes.
# Command: python tools/test.py configs/shapes/region_classification.py CHECKPOINT
# Measured here: see README.md.
_base_ = [
    '../_base_/models/shapes_clip.py',
    '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/default_runtime.py'
]
model = dict(type='RegionEncoder', backbone=dict(init_cfg=None))
test_cfg = dict(type='TestLoop')
train_dataloader = None
val_dataloader = None
val_evaluator = None
custom_hooks = None
