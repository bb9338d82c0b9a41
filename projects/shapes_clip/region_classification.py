# The tiny Shapes CLIP on the scenes of the dev split: the image-to-dense shift before any distillation.
# Command: python tools/test.py projects/shapes_clip/region_classification.py projects/shapes_clip/shapes_clip.pt
# Measured: boxes / thing masks / stuff masks top-1 11.0 / 11.8 / 25.6, image crops 84.5 (things) / 63.0 (stuff).
_base_ = '../../configs/shapes/region_classification.py'
test_dataloader = dict(
    dataset=dict(ann_file='annotations/panoptic_dev.json', img_prefix='dev', seg_prefix='panoptic_dev'))
test_evaluator = dict(per_class=True)
