# CAT-Seg on OpenAI's CLIP ViT-L/14: trained on COCO-Stuff, tested on ADE20K.
# Paper: ADE-150 / ADE-847 / PASCAL Context 37.9 / 16.0 / 63.3 mIoU (CAT-Seg, table 1)
# Command: bash tools/dist_train.sh configs/catseg/catseg_vitl14.py 4 --cfg-options train_dataloader.batch_size=1
# Measured here: not measured.
_base_ = [
    '../_base_/models/catseg_openai_vitl14.py', '../_base_/datasets/coco_stuff_ade20k.py',
    '../_base_/schedules/catseg_80k.py', '../_base_/catseg_runtime.py'
]
model = dict(decode_head=dict(vocabulary=dict(test_classes='ade150')))
