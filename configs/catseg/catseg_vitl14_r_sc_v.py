# CAT-Seg on an R-SC-V tower, OpenAI's CLIP ViT-L/14: trained on COCO-Stuff, tested on ADE20K.
# Paper: ADE-150 / ADE-847 / PASCAL Context 38.4 / 16.6 / 63.6 mIoU (R-SC, table 4)
# Command: bash tools/dist_train.sh configs/catseg/catseg_vitl14_r_sc_v.py 4 --cfg-options train_dataloader.batch_size=1
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_openai_vitl14.py', '../_base_/datasets/coco_stuff_ade20k.py',
    '../_base_/schedules/catseg_80k.py', '../_base_/catseg_runtime.py'
]
model = dict(
    backbone=dict(readout='value', init_cfg=dict(checkpoint='data/checkpoints/r_sc_v_openai_vitl14.pth')),
    decode_head=dict(vocabulary=dict(test_classes='ade150')))
