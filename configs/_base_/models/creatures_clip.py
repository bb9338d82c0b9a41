# The tiny EVA-CLIP of projects/creatures_clip: 64 px images, 8 px patches; scenes are read at 192 px.
clip_checkpoint = 'projects/creatures_clip/creatures_clip.pt'
model = dict(
    type='CLIPSelf',
    backbone=dict(
        type='EVACLIPViT',
        arch=dict(
            img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=2, num_classes=128, ref_feat_shape=(8, 8)),
        readout='value',
        frozen_stages=0,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=192, crop_size=64, patch_size=8))
text_encoder = dict(
    type='CLIPTextEncoder',
    arch=dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4),
    checkpoint=clip_checkpoint)
val_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(prompts='single', text_encoder=text_encoder))
test_evaluator = val_evaluator
custom_hooks = [dict(type='WeightEnsembleHook', alpha=1.0)]
