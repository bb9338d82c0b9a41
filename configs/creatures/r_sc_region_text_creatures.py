# R-SC-Region-Text on Creatures: nouns beside the Refiner's correlations (Qiu et al., ICLR 2025, sec. 3.4).
# Commands: those of region_text_creatures.py and refiner_creatures.py, then
#           python tools/train.py configs/creatures/r_sc_region_text_creatures.py
# Measured here: see README.md.
_base_ = [
    '../_base_/models/r_sc_creatures.py',
    '../_base_/datasets/creatures_patches.py', '../_base_/datasets/creatures_panoptic_val.py',
    '../_base_/schedules/creatures.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=2))
model = dict(
    scd_loss=dict(loss_weight=0.2, tau_s=0.1, tau_t=0.1),  # chosen on the dev split, as the rate
    rla=dict(
        type='NounAlignment',
        class_embeddings=dict(
            names='{{$CREATURES_ROOT:data/creatures}}/annotations/region_text_train.json',
            prompts='single',
            text_encoder={{_base_.text_encoder}})),
    data_preprocessor=dict(crop_size=None))
train_dataloader = dict(
    dataset=dict(ann_file='annotations/region_text_train.json', regions=dict(type='RegionTextRegions')))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
