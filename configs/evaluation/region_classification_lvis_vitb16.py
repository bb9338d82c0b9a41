# Zero-shot classification of the boxes of LVIS v1 val, 1,203 classes.
# Paper: not tabulated.
# Command: python tools/test.py configs/evaluation/region_classification_lvis_vitb16.py CHECKPOINT
# Measured here: not measured.
_base_ = 'region_classification_vitb16.py'
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/lvis_v1_val.json',
        img_prefix='',
        regions=dict(type='InstanceRegions')))
test_evaluator = dict(class_embeddings=dict(names='lvis'))
