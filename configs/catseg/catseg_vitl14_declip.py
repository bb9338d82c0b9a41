# CAT-Seg on a DeCLIP tower with its readout, EVA-02-CLIP ViT-L/14: trained on COCO-Stuff, tested on ADE20K.
# Paper: ADE-150 / ADE-847 / PASCAL Context 40.7 / 17.6 / 63.9 mIoU (DeCLIP, table 4)
# Command: bash tools/dist_train.sh configs/catseg/catseg_vitl14_declip.py 4 \
#     --cfg-options train_dataloader.batch_size=1
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_eva_vitl14.py', '../_base_/datasets/coco_stuff_ade20k.py',
    '../_base_/schedules/catseg_80k.py', '../_base_/catseg_runtime.py'
]
model = dict(
    backbone=dict(
        readout='qq',
        init_cfg=dict(checkpoint='data/checkpoints/declip_vitl14.pth')),
    decode_head=dict(vocabulary=dict(test_classes='ade150')))
