# The Refiner of OpenAI's CLIP ViT-B/16; MetaCLIP's and DFN's differ in the weights only.
_base_ = 'refiner_vitb16.py'
clip_checkpoint = 'data/checkpoints/ViT-B-16.pt'
model = dict(
    backbone=dict(
        type='CLIPViT', arch='vit_base_patch16_clip_quickgelu_224', init_cfg=dict(checkpoint=clip_checkpoint)))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-quickgelu', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
