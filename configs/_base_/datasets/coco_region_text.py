# COCO train2017 with the nouns that tools/data/generate_region_text.py matched to proposals.
_base_ = 'coco_patches.py'
train_dataloader = dict(
    dataset=dict(ann_file='region_text/region_text_train2017.json', regions=dict(type='RegionTextRegions')))
