# CAT-Seg (Cho et al., CVPR 2024, the public "v2") on OpenAI's CLIP ViT-B/16. Of both towers the query and value weights
# train, 48 tensors; everything else of CLIP is frozen. The readout is that of the published models.
clip_checkpoint = 'data/checkpoints/ViT-B-16.pt'
pretrained = dict(type='Pretrained', checkpoint=clip_checkpoint)
model = dict(
    type='rsc_mm.CATSeg',
    data_preprocessor=dict(
        type='rsc_mm.RectangleSegPreProcessor',
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
        size=(384, 384),
        seg_pad_val=255),
    backbone=dict(
        type='rsc_mm.CLIPViT', arch='vit_base_patch16_clip_quickgelu_224', readout='value_cls', init_cfg=pretrained),
    decode_head=dict(
        type='rsc_mm.CATSegHead',
        in_channels=768,
        vocabulary=dict(
            type='rsc_mm.VocabularyEncoder', classes='coco_stuff', arch='ViT-B-16-quickgelu', init_cfg=pretrained),
        aggregator=dict(text_dim=512, appearance_dim=512),
        loss=dict(type='rsc_mm.PixelBCELoss', ignore='negative')),
    finetune=dict(visual=('q.weight', 'v.weight'), text=('q.weight', 'v.weight')),
    test_cfg=dict(mode='squash', size=(640, 640), crop_size=(384, 384), stride=(256, 256), chunk_size=64))
find_unused_parameters = True  # the value readouts have no query in the last block
