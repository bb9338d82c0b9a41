# CAT-Seg on a DenseRC tower with its readout, EVA-02-CLIP ViT-B/16: trained on COCO-Stuff, tested on ADE20K.
# Paper: ADE-150 / ADE-847 / PASCAL Context 37.6 / 15.9 / 61.4 mIoU (DenseRC)
# Command: bash tools/dist_train.sh configs/catseg/catseg_vitb16_denserc.py 4 \
#     --cfg-options train_dataloader.batch_size=1
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_eva_vitb16.py', '../_base_/datasets/coco_stuff_ade20k.py',
    '../_base_/schedules/catseg_80k.py', '../_base_/catseg_runtime.py'
]
model = dict(
    backbone=dict(
        readout='hsg',
        init_cfg=dict(checkpoint='data/checkpoints/denserc_vitb16_grid.pth')),
    decode_head=dict(vocabulary=dict(test_classes='ade150')))
