# R-SC on OpenAI's CLIP ViT-B/16; MetaCLIP and DFN differ in the weights and the Refiner only.
_base_ = 'r_sc_vitb16.py'
clip_checkpoint = 'data/checkpoints/ViT-B-16.pt'
model = dict(
    backbone=dict(
        type='CLIPViT', arch='vit_base_patch16_clip_quickgelu_224', init_cfg=dict(checkpoint=clip_checkpoint)),
    refiner=dict(init_cfg=dict(
        checkpoint='work_dirs/refiner_openai_vitb16/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/refiner_openai_vitb16.py 8')))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='ViT-B-16-quickgelu', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
