# Region-Text on nouns matched to the proposals of Shapes (the baseline of CLIPSelf, table 6).
# Commands: python tools/data/generate_region_text.py configs/shapes/clipself_proposals.py \
#               data/shapes/annotations/region_text_train.json --nouns data/shapes/annotations/panoptic_train.json \
#               --prompts single
#           python tools/train.py configs/shapes/region_text.py
# Measured here: see README.md.
_base_ = 'clipself_grid.py'
model = dict(
    type='RegionText',
    class_embeddings=dict(
        names='{{$SHAPES_ROOT:data/shapes}}/annotations/region_text_train.json',
        prompts='single',
        text_encoder={{_base_.text_encoder}}),
    data_preprocessor=dict(crop_size=None))
train_dataloader = dict(
    dataset=dict(ann_file='annotations/region_text_train.json', regions=dict(type='RegionTextRegions')))
