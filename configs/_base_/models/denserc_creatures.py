# DenseRC on the tiny tower of Creatures; the VFM is the tiny ViT of projects/shapes_vfm, trained on masks
# without classes.
clip_checkpoint = 'projects/creatures_clip/creatures_clip.pt'
arch = dict(img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=2, num_classes=128, ref_feat_shape=(8, 8))
# The file names the readout 'value', with which the tower is read as it was pre-trained.
init_cfg = dict(type='Pretrained', checkpoint=clip_checkpoint, readout='value')
model = dict(
    type='DenseRC',
    backbone=dict(
        type='EVACLIPViT', arch=arch, readout='hsg', frozen_stages=0, init_cfg=init_cfg),
    vfm=dict(
        type='VFMTeacher',
        arch=dict(
            img_size=192, patch_size=8, embed_dim=128, depth=4, num_heads=4, num_classes=0, class_token=False,
            global_pool=''),
        init_cfg=dict(type='Pretrained', checkpoint='projects/shapes_vfm/creatures_vfm.pt')),
    context_loss=dict(type='ContextCorrelationLoss', loss_weight=0.025),
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
