# Off-the-shelf segmentation of the Creatures val split with the tiny tower, no training (MaskCLIP's protocol): all 20
# classes compete for every pixel. On a CPU; CHECKPOINT is the original tower, CLIPSelf's or R-SC's.
# Command: python tools/test.py configs/creatures/maskclip_creatures.py CHECKPOINT
# Measured here: see README.md.
_base_ = ['../_base_/datasets/creatures_semantic.py', '../_base_/segmentation_runtime.py']
clip_checkpoint = 'projects/creatures_clip/creatures_clip.pt'
model = dict(
    type='rsc_mm.DenseCLIPSegmentor',
    data_preprocessor=dict(
        type='rsc_mm.RectangleSegPreProcessor', mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch=dict(
            img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=2, num_classes=128, ref_feat_shape=(8, 8)),
        readout='value',
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    classes=('beetle', 'crab', 'gecko', 'heron', 'ibex', 'koala', 'lynx', 'moth', 'newt', 'otter', 'panda', 'raven',
             'meadow', 'gravel', 'brook', 'hedge', 'dune', 'thicket', 'marsh', 'plaza'),
    class_embeddings=dict(
        prompts='single',
        text_encoder=dict(
            arch=dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4), checkpoint=clip_checkpoint)),
    logit_scale=40.)
test_cfg = dict(type='TestLoop')
