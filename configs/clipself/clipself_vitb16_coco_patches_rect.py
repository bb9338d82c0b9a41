# CLIPSelf on image patches of COCO, EVA-02-CLIP ViT-B/16, longest side 1024 px, images of like aspect in a batch,
# padded to whole patches instead of squares: recommended, and not what the paper did.
# Paper: with squares, boxes / thing masks / stuff masks top-1 72.1 / 74.4 / 46.8.
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitb16_coco_patches_rect.py 8
# Measured here: accuracy not measured; cost of a step in docs/benchmark.md.
_base_ = 'clipself_vitb16_coco_patches.py'
model = dict(data_preprocessor=dict(layout='rectangle'))
train_dataloader = dict(batch_sampler=dict(type='AspectRatioBatchSampler'))
