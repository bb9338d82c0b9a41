# Stage 2 of R-SC on the tiny tower of Creatures. Lambda and temperatures were chosen on the dev split:
# configs/creatures/README.md.
clip_checkpoint = 'projects/creatures_clip/creatures_clip.pt'
model = dict(
    type='SCRLA',
    backbone=dict(
        type='EVACLIPViT',
        arch=dict(
            img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=2, num_classes=128, ref_feat_shape=(8, 8)),
        readout='value',
        frozen_stages=0,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    scd_loss=dict(type='SCDLoss', loss_weight=0.05, tau_s=0.05, tau_t=0.05),
    refiner=dict(
        type='Refiner', num_blocks=2, inter_layers=(1, 2), hidden_dims=1024,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/refiner_creatures/refiner.pth',
            command='python tools/train.py configs/creatures/refiner_creatures.py')),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=192, crop_size=64, patch_size=8))
text_encoder = dict(
    type='CLIPTextEncoder',
    arch=dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4),
    checkpoint=clip_checkpoint)
val_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(prompts='single', text_encoder=text_encoder))
test_evaluator = val_evaluator
custom_hooks = [dict(type='WeightEnsembleHook', alpha=1.0)]
