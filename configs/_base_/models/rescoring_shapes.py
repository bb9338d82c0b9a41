# What a rescored detector needs of the tiny EVA-CLIP of projects/shapes_clip.
clip_checkpoint = 'projects/shapes_clip/shapes_clip.pt'
clip_backbone = dict(
    type='rsc_mm.EVACLIPViT',
    arch=dict(
        img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8)),
    readout='value',
    init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint))
clip_preprocessor = dict(
    type='rsc_mm.RegionPreprocessor', image_size=128, crop_size=None, patch_size=8, layout='rectangle')
clip_embeddings = dict(
    prompts='single',
    text_encoder=dict(
        arch=dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4), checkpoint=clip_checkpoint))
custom_hooks = [dict(type='rsc_mm.ClassOrderHook')]
