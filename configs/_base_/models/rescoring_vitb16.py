# What a rescored detector needs of EVA-02-CLIP ViT-B/16, as CLIPSelf or R-SC distilled it.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
clip_backbone = dict(
    type='rsc_mm.EVACLIPViT',
    arch='eva02_base_patch16_clip_224',
    readout='value',
    init_cfg=dict(type='Pretrained', checkpoint='work_dirs/r_sc_clipself_vitb16.pth'))
clip_preprocessor = dict(
    type='rsc_mm.RegionPreprocessor', image_size=1024, crop_size=None, patch_size=16, layout='rectangle')
clip_embeddings = dict(prompts='vild', text_encoder=dict(arch='EVA02-B-16', checkpoint=clip_checkpoint))
custom_hooks = [dict(type='rsc_mm.ClassOrderHook')]
