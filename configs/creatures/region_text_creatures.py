# Region-Text on nouns matched to the proposals of Creatures (the baseline of CLIPSelf, table 6).
# Commands: python tools/data/generate_region_text.py configs/creatures/clipself_proposals_creatures.py \
#               data/creatures/annotations/region_text_train.json \
#               --nouns data/creatures/annotations/panoptic_train.json --prompts single
#           python tools/train.py configs/creatures/region_text_creatures.py
# Measured here: see README.md.
_base_ = 'clipself_grid_creatures.py'
optim_wrapper = dict(optimizer=dict(lr=5e-4))  # chosen on the dev split
model = dict(
    type='RegionText',
    class_embeddings=dict(
        names='{{$CREATURES_ROOT:data/creatures}}/annotations/region_text_train.json',
        prompts='single',
        text_encoder={{_base_.text_encoder}}),
    data_preprocessor=dict(crop_size=None))
train_dataloader = dict(
    dataset=dict(ann_file='annotations/region_text_train.json', regions=dict(type='RegionTextRegions')))
