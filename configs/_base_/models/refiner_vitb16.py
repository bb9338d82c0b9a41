# The Refiner of EVA-02-CLIP ViT-B/16 (R-SC, sec. 4.1 and app. C.1): the last 4 blocks, FC_inter on the layers 4 and 7.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='RefinerTrainer',
    backbone=dict(
        type='EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        frozen_stages=0,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    refiner=dict(type='Refiner', num_blocks=4, inter_layers=(4, 7), hidden_dims=4096),
    refiner_loss=dict(type='RefinerLoss', objective='info_nce'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, crop_size=224, patch_size=16))
val_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(
        names='coco_panoptic',
        prompts='vild',
        text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
custom_hooks = [dict(type='RefinerCheckpointHook')]
