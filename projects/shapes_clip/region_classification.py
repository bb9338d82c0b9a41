# The tiny Shapes CLIP on the scenes of the dev split: the image-to-dense shift before any distillation.
# Command: python tools/test.py projects/shapes_clip/region_classification.py projects/shapes_clip/shapes_clip.pt
# Measured: boxes / thing masks / stuff masks top-1 11.0 / 11.8 / 25.6, image crops 84.5 (things) / 63.0 (stuff).
_base_ = ['../../configs/_base_/default_runtime.py']
checkpoint = 'projects/shapes_clip/shapes_clip.pt'
arch = dict(img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8))
text_arch = dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4)
model = dict(
    type='RegionEncoder',
    backbone=dict(type='EVACLIPViT', arch=arch, readout='value'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=128, crop_size=64, patch_size=8))
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=25,
    num_workers=0,
    collate_fn=dict(type='rsc_mm.region_collate'),
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='RegionDataset', data_root='data/shapes', ann_file='annotations/panoptic_dev.json', img_prefix='dev',
        seg_prefix='panoptic_dev', regions=dict(type='PanopticRegions')))
test_evaluator = dict(
    type='RegionClassificationMetric', per_class=True,
    class_embeddings=dict(
        prompts='single', text_encoder=dict(type='CLIPTextEncoder', arch=text_arch, checkpoint=checkpoint)))
