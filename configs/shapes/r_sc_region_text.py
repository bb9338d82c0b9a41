# R-SC-Region-Text on Shapes: nouns beside the Refiner's correlations (Qiu et al., ICLR 2025, sec. 3.4).
# Commands: those of region_text.py and refiner.py, then
#           python tools/train.py configs/shapes/r_sc_region_text.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/r_sc_shapes.py',
    '../_base_/datasets/shapes_patches.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
model = dict(
    rla=dict(
        type='NounAlignment',
        class_embeddings=dict(
            names='{{$SHAPES_ROOT:data/shapes}}/annotations/region_text_train.json',
            prompts='single',
            text_encoder={{_base_.text_encoder}})),
    data_preprocessor=dict(crop_size=None))
train_dataloader = dict(
    dataset=dict(ann_file='annotations/region_text_train.json', regions=dict(type='RegionTextRegions')))
