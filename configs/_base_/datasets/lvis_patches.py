# LVIS v1 train (COCO images) without annotations: regions are the cells of a random grid.
_base_ = 'coco_patches.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/lvis_v1_train.json', img_prefix=''))
