# R-SC-V on proposals of COCO, OpenAI's CLIP ViT-L/14-336, 896 px (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: table 4: Cat-Seg mIoU on ADE-150 / ADE-847 / PASCAL Context 38.4 / 16.6 / 63.6
# Commands: bash tools/dist_train.sh configs/rsc/refiner_openai_vitl14.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_v_openai_vitl14.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitl14.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
clip_checkpoint = 'data/checkpoints/ViT-L-14-336px.pt'
model = dict(
    rla=None,
    data_preprocessor=dict(crop_size=None),
    backbone=dict(
        type='CLIPViT', arch='vit_large_patch14_clip_quickgelu_336', init_cfg=dict(checkpoint=clip_checkpoint)),
    refiner=dict(init_cfg=dict(
        checkpoint='work_dirs/refiner_openai_vitl14/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/refiner_openai_vitl14.py 8')))
val_evaluator = dict(
    class_embeddings=dict(text_encoder=dict(arch='ViT-L-14-336-quickgelu', checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
