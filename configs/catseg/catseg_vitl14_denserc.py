# CAT-Seg on a DenseRC tower with its readout, EVA-02-CLIP ViT-L/14: trained on COCO-Stuff, tested on ADE20K.
# Paper: not in the part of the paper that is at hand
# Command: bash tools/dist_train.sh configs/catseg/catseg_vitl14_denserc.py 4 \
#     --cfg-options train_dataloader.batch_size=1
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_eva_vitl14.py', '../_base_/datasets/coco_stuff_ade20k.py',
    '../_base_/schedules/catseg_80k.py', '../_base_/catseg_runtime.py'
]
model = dict(
    backbone=dict(
        readout='hsg',
        init_cfg=dict(checkpoint='data/checkpoints/denserc_vitl14_grid.pth')),
    decode_head=dict(vocabulary=dict(test_classes='ade150')))
