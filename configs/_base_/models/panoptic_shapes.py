# Panoptic segmentation in small, on the tiny EVA-CLIP of projects/shapes_clip: levels at strides 4, 8 and 16, 30
# queries, trained on the classes that have no novel shape (7 things, 8 kinds of stuff), tested on all 18. Without the
# level of stride 2 and with one layer of the pixel decoder a step takes half the time.
_base_ = 'panoptic_vitb16.py'
clip_checkpoint = 'projects/shapes_clip/shapes_clip.pt'
trained_classes = ('circle', 'square', 'triangle', 'star', 'ring', 'crescent', 'arrow', 'stripes', 'checks', 'dots',
                   'bricks', 'waves', 'zigzags', 'mesh', 'clouds')
test_classes = ('circle', 'square', 'triangle', 'star', 'heart', 'ring', 'cross', 'crescent', 'arrow', 'hourglass',
                'stripes', 'checks', 'dots', 'bricks', 'waves', 'zigzags', 'mesh', 'clouds')
attention = dict(embed_dims=64, num_heads=4)
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        arch=dict(
            _delete_=True, img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128,
            ref_feat_shape=(8, 8)),
        out_indices=(2, 3, 5),
        frozen_stages=6,
        init_cfg=dict(checkpoint=clip_checkpoint)),
    neck=dict(_delete_=True, type='rsc_mm.ViTPyramidMapper', in_channels=192, out_channels=64, norm_groups=8),
    panoptic_head=dict(
        vocabulary=dict(
            classes=trained_classes,
            test_classes=test_classes,
            arch=dict(_delete_=True, embed_dim=128, context_length=32, width=64, heads=4, layers=4),
            prompts='single',
            init_cfg=dict(checkpoint=clip_checkpoint)),
        num_things_classes=7,
        test_num_things=10,
        in_channels=[64] * 3,
        strides=[4, 8, 16],
        feat_channels=64,
        out_channels=64,
        num_queries=30,
        pixel_decoder=dict(
            norm_cfg=dict(num_groups=8),
            encoder=dict(
                num_layers=1,
                layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=dict(embed_dims=64, feedforward_channels=128))),
            positional_encoding=dict(num_feats=32)),
        positional_encoding=dict(num_feats=32),
        transformer_decoder=dict(
            num_layers=2,
            layer_cfg=dict(
                self_attn_cfg=attention,
                cross_attn_cfg=attention,
                ffn_cfg=dict(embed_dims=64, feedforward_channels=128)))),
    clip_temperature=15.0,  # as the detectors' on Shapes
    train_cfg=dict(num_points=512))
