# Zero-shot region classification on COCO panoptic val2017, 133 classes (CLIPSelf, table 2).
# Paper: EVA-02-CLIP ViT-B/16 boxes / thing masks / stuff masks top-1 18.2 / 20.6 / 18.4.
# Command: python tools/test.py configs/evaluation/region_classification_vitb16.py CHECKPOINT
#          add --cfg-options model.data_preprocessor.crop_size=None to leave out the image crops (the upper bound).
# Measured here: not measured (weights and COCO are not at hand; the plumbing runs in CI on 50 real images).
_base_ = ['../_base_/datasets/coco_panoptic_val.py', '../_base_/default_runtime.py']
text_checkpoint = 'data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
model = dict(
    type='RegionEncoder',
    backbone=dict(type='EVACLIPViT', arch='eva02_base_patch16_clip_224', readout='value'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, crop_size=224, patch_size=16))
test_cfg = dict(type='TestLoop')
test_evaluator = dict(
    type='RegionClassificationMetric',
    class_embeddings=dict(
        names='coco_panoptic', prompts='vild',
        text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16', checkpoint=text_checkpoint)))
val_dataloader = None
