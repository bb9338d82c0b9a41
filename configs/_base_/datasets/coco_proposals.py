# COCO train2017 with class-agnostic proposals, COCO json: images, annotations with image_id and bbox.
_base_ = 'coco_patches.py'
train_dataloader = dict(dataset=dict(ann_file='proposals/rpn_train2017.json', regions=dict(type='ProposalRegions')))
