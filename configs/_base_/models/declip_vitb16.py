# DeCLIP on EVA-02-CLIP ViT-B/16 with DINOv2-B with registers (Wang et al., CVPR 2025, sec. 4 and appendix), 1024 px:
# the VFM sees 896 px at patch 14. Lambda is the paper's; its scripts have 0.1, its released weights 0.05.
clip_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='DeCLIP',
    backbone=dict(
        type='EVACLIPViT',
        arch='eva02_base_patch16_clip_224',
        readout=dict(type='qq', scaled=False),
        frozen_stages=0,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    vfm=dict(
        type='VFMTeacher',
        arch='vit_base_patch14_reg4_dinov2',
        init_cfg=dict(type='Pretrained', checkpoint='data/checkpoints/dinov2_vitb14_reg4_pretrain.pth')),
    context_loss=dict(type='ContextCorrelationLoss', loss_weight=0.25),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, crop_size=224, patch_size=16))
val_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(
        names='coco_panoptic',
        prompts='vild',
        text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.7)]
