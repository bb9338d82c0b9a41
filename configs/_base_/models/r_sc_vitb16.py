# R-SC on EVA-02-CLIP ViT-B/16 (R-SC, sec. 3.4 and 4.1); the Refiner is that of models/refiner_vitb16.py, frozen.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='SCRLA',
    backbone=dict(
        type='EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout='value',
        frozen_stages=0,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    scd_loss=dict(type='SCDLoss', loss_weight=0.2, tau_s=0.2, tau_t=0.2),
    refiner=dict(
        type='Refiner', num_blocks=4, inter_layers=(4, 7), hidden_dims=4096,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/refiner_vitb16/refiner.pth',
            command='bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8')),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, crop_size=224, patch_size=16))
val_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(
        names='coco_panoptic',
        prompts='vild',
        text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.7)]
