# Zero-shot region classification on COCO panoptic val2017 with EVA-02-CLIP ViT-L/14, 896 px (CLIPSelf, table 2).
# Paper: CLIPSelf (image patches) boxes / thing masks / stuff masks top-1 77.1 / 78.7 / 44.4.
# Command: python tools/test.py configs/evaluation/region_classification_vitl14.py CHECKPOINT
# Measured here: not measured.
_base_ = 'region_classification_vitb16.py'
text_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    backbone=dict(arch='eva02_large_patch14_clip_336'),
    data_preprocessor=dict(image_size=896, crop_size=336, patch_size=14))
test_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=text_checkpoint)))
