# R-SC on EVA-02-CLIP ViT-L/14 (R-SC, sec. 3.4 and 4.1); the Refiner is that of models/refiner_vitl14.py, frozen.
_base_ = 'r_sc_vitb16.py'
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'
model = dict(
    backbone=dict(
        arch='eva02_large_patch14_clip_336', with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    scd_loss=dict(loss_weight=0.4),
    refiner=dict(
        num_blocks=6, inter_layers=(9, 14),
        init_cfg=dict(
            checkpoint='work_dirs/refiner_vitl14/refiner.pth',
            command='bash tools/dist_train.sh configs/rsc/refiner_vitl14.py 8')),
    data_preprocessor=dict(image_size=896, crop_size=336, patch_size=14))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(arch='EVA02-L-14-336', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.95)]
