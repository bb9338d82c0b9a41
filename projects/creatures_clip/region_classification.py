# Zero-shot classification of the regions of Creatures, dev split: boxes, masks and image crops, 20 classes.
# Command: python tools/test.py projects/creatures_clip/region_classification.py CHECKPOINT
# Measured here: see TRIES.md.
_base_ = '../../configs/shapes/region_classification.py'
clip_checkpoint = '{{$CREATURES_CLIP:work_dirs/creatures_clip/creatures_clip.pt}}'
model = dict(
    backbone=dict(arch=dict(embed_dim=128, depth=4, num_heads=2)), data_preprocessor=dict(image_size=192))
test_dataloader = dict(
    dataset=dict(
        data_root='{{$CREATURES_ROOT:data/creatures}}',
        ann_file='annotations/panoptic_dev.json', img_prefix='dev', seg_prefix='panoptic_dev'))
test_evaluator = dict(class_embeddings=dict(text_encoder=dict(checkpoint=clip_checkpoint)))
