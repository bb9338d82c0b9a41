# Every image below data/cc3m, no annotation file: regions are the cells of a random grid.
_base_ = 'coco_patches.py'
train_dataloader = dict(
    dataset=dict(data_root='{{$CC3M_ROOT:data/cc3m}}', ann_file=None, img_prefix='', max_bad_images=1000))
