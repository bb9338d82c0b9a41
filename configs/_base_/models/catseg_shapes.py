# CAT-Seg in small, on the tiny EVA-CLIP of projects/shapes_clip: grid 16 x 16 of an image of 128 px. It trains on the
# classes that have no novel shape: 7 things and 8 kinds of stuff.
_base_ = 'catseg_openai_vitb16.py'
clip_checkpoint = 'projects/shapes_clip/shapes_clip.pt'
trained_classes = ('circle', 'square', 'triangle', 'star', 'ring', 'crescent', 'arrow', 'stripes', 'checks', 'dots',
                   'bricks', 'waves', 'zigzags', 'mesh', 'clouds')
test_classes = ('circle', 'square', 'triangle', 'star', 'heart', 'ring', 'cross', 'crescent', 'arrow', 'hourglass',
                'stripes', 'checks', 'dots', 'bricks', 'waves', 'zigzags', 'mesh', 'clouds')
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch=dict(
            _delete_=True, img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128,
            ref_feat_shape=(8, 8)),
        readout='value',
        init_cfg=dict(checkpoint=clip_checkpoint)),
    decode_head=dict(
        in_channels=192,
        vocabulary=dict(
            classes=trained_classes,
            test_classes=test_classes,
            arch=dict(_delete_=True, embed_dim=128, context_length=32, width=64, heads=4, layers=4),
            prompts=('a photo of a {}.', ),
            init_cfg=dict(checkpoint=clip_checkpoint)),
        aggregator=dict(
            text_dim=128,
            text_proj_dim=32,
            appearance_dim=128,
            appearance_proj_dim=32,
            decoder_dims=(32, 16),
            decoder_guidance_dims=(64, 32),
            decoder_guidance_proj_dims=(16, 8),
            hidden_dim=32,
            feature_resolution=(16, 16),
            window_size=8,
            pad_len=32)),
    test_cfg=dict(_delete_=True, mode='whole'))
