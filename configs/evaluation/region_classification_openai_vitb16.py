# Zero-shot region classification on COCO panoptic val2017 with OpenAI's ViT-B/16, MetaCLIP's or DFN's.
# Paper (CLIPSelf, table A3; boxes / thing masks / stuff masks): OpenAI's B/16 29.3 / 33.5 / 25.9, after CLIPSelf
# 67.4 / 69.4 / 43.4.
# Command: python tools/test.py configs/evaluation/region_classification_openai_vitb16.py CHECKPOINT
# Measured here: not measured.
_base_ = 'region_classification_vitb16.py'
text_checkpoint = 'data/checkpoints/ViT-B-16.pt'
model = dict(backbone=dict(type='CLIPViT', arch='vit_base_patch16_clip_quickgelu_224'))
test_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-quickgelu', checkpoint=text_checkpoint)))
