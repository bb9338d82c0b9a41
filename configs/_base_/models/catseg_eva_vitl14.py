# CAT-Seg on EVA-02-CLIP ViT-L/14 at 336 px with the value readout.
_base_ = 'catseg_openai_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_large_patch14_clip_336',
        readout='value',
        init_cfg=dict(checkpoint=clip_checkpoint)),
    decode_head=dict(
        in_channels=1024,
        vocabulary=dict(arch='EVA02-L-14-336', init_cfg=dict(checkpoint=clip_checkpoint)),
        aggregator=dict(text_dim=768, appearance_dim=768)))
