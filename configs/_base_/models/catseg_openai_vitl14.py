# CAT-Seg on OpenAI's CLIP ViT-L/14 at 336 px: 72 trained tensors of CLIP.
_base_ = 'catseg_openai_vitb16.py'
clip_checkpoint = 'data/checkpoints/ViT-L-14-336px.pt'
model = dict(
    backbone=dict(arch='vit_large_patch14_clip_quickgelu_336', init_cfg=dict(checkpoint=clip_checkpoint)),
    decode_head=dict(
        in_channels=1024,
        vocabulary=dict(arch='ViT-L-14-336-quickgelu', init_cfg=dict(checkpoint=clip_checkpoint)),
        aggregator=dict(text_dim=768, appearance_dim=768)))
