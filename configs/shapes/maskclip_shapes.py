# Off-the-shelf segmentation of the Shapes val split with the tiny tower, no training (MaskCLIP's protocol): all 18
# classes compete for every pixel. On a CPU; CHECKPOINT is the original tower, CLIPSelf's or R-SC's.
# Command: python tools/test.py configs/shapes/maskclip_shapes.py CHECKPOINT
# Measured here: see README.md.
_base_ = ['../_base_/datasets/shapes_semantic.py', '../_base_/segmentation_runtime.py']
clip_checkpoint = 'projects/shapes_clip/shapes_clip.pt'
model = dict(
    type='rsc_mm.DenseCLIPSegmentor',
    data_preprocessor=dict(
        type='rsc_mm.RectangleSegPreProcessor', mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch=dict(
            img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8)),
        readout='value',
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    classes=('circle', 'square', 'triangle', 'star', 'heart', 'ring', 'cross', 'crescent', 'arrow', 'hourglass',
             'stripes', 'checks', 'dots', 'bricks', 'waves', 'zigzags', 'mesh', 'clouds'),
    class_embeddings=dict(
        prompts='single',
        text_encoder=dict(
            arch=dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4), checkpoint=clip_checkpoint)),
    logit_scale=40.)
test_cfg = dict(type='TestLoop')
