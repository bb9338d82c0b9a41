# R-SC-CLIPSelf on proposals of COCO, DFN ViT-B/16 (DFN-2B), 1024 px (Qiu et al., ICLR 2025, sec. 3.4).
# Paper: fig. 6: MaskCLIP mIoU on PASCAL Context / COCO-Stuff 32.1 / 21.2
# Commands: bash tools/dist_train.sh configs/rsc/refiner_dfn_vitb16.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_clipself_dfn_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_openai_vitb16.py',
    '../_base_/datasets/coco_proposals.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=4)
clip_checkpoint = 'open_clip::ViT-B-16-quickgelu/dfn2b'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=clip_checkpoint)),
    refiner=dict(init_cfg=dict(
        checkpoint='work_dirs/refiner_dfn_vitb16/refiner.pth',
        command='bash tools/dist_train.sh configs/rsc/refiner_dfn_vitb16.py 8')))
val_evaluator = dict(class_embeddings=dict(text_encoder=dict(checkpoint=clip_checkpoint)))
test_evaluator = val_evaluator
