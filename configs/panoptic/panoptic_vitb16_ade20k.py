# ADE20K panoptic (150 classes) by the model of panoptic_vitb16.py (FC-CLIP, table 1).
# Command: python tools/test.py configs/panoptic/panoptic_vitb16_ade20k.py \
#     work_dirs/panoptic_vitb16/iter_368750.pth
# Measured here: not measured.
_base_ = [
    '../_base_/models/panoptic_vitb16.py', '../_base_/datasets/ade20k_panoptic_segments.py',
    '../_base_/panoptic_runtime.py'
]
model = dict(
    panoptic_head=dict(vocabulary=dict(test_classes='ade20k_panoptic'), test_num_things=100))
