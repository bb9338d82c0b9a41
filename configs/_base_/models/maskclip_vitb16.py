# Off-the-shelf segmentation with EVA-02-CLIP ViT-B/16: MaskCLIP's protocol with windows of 336 px at stride 112.
text_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='rsc_mm.DenseCLIPSegmentor',
    data_preprocessor=dict(
        type='rsc_mm.RectangleSegPreProcessor', mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True),
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        init_cfg=dict(type='Pretrained', checkpoint=text_checkpoint)),
    class_embeddings=dict(
        prompts='imagenet', text_encoder=dict(arch='EVA02-B-16', checkpoint=text_checkpoint)),
    window=336,
    stride=112,
    logit_scale=40.)
