# CLIPSelf on image patches of COCO, EVA-02-CLIP ViT-B/16, longest side 1024 px, batches of a constant number of tokens:
# images of the same token grid, as many as have the tokens of 8 squares. What the paper did are squares.
# Paper: with squares, boxes / thing masks / stuff masks top-1 72.1 / 74.4 / 46.8.
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitb16_coco_patches_tokens.py 2
# Measured here: accuracy not measured; padding in docs/benchmark.md.
_base_ = 'clipself_vitb16_coco_patches.py'
model = dict(data_preprocessor=dict(layout='rectangle'))
train_dataloader = dict(
    batch_size=8, batch_sampler=dict(type='TokenBudgetBatchSampler', image_size=1024, patch_size=16))
