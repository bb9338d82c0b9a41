# DenseRC on EVA-02-CLIP ViT-B/16 with DINOv2-B with registers (CVPR 2026, sec. 7), 1024 px: the VFM sees 896 px at
# patch 14. Its paper names no weight ensemble: alpha is 1.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='DenseRC',
    backbone=dict(
        type='EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout=dict(type='hsg', num_layers=3, project='per_layer'),
        frozen_stages=0,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    vfm=dict(
        type='VFMTeacher',
        arch='vit_base_patch14_reg4_dinov2',
        init_cfg=dict(type='Pretrained', checkpoint='data/checkpoints/dinov2_vitb14_reg4_pretrain.pth')),
    context_loss=dict(type='ContextCorrelationLoss', loss_weight=0.025),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, crop_size=224, patch_size=16))
val_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(
        names='coco_panoptic',
        prompts='vild',
        text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
custom_hooks = [dict(type='WeightEnsembleHook', alpha=1.0)]
