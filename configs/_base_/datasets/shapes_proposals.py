# Shapes with class-agnostic proposals, COCO json.
_base_ = 'shapes.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/proposals_train.json',
                                     regions=dict(_delete_=True, type='ProposalRegions', max_regions=8)))
