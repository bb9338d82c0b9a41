# CAT-Seg on EVA-02-CLIP ViT-B/16 with the value readout, with which CLIPSelf and R-SC train their towers.
_base_ = 'catseg_openai_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        init_cfg=dict(checkpoint=clip_checkpoint)),
    decode_head=dict(vocabulary=dict(arch='EVA02-B-16', init_cfg=dict(checkpoint=clip_checkpoint))))
