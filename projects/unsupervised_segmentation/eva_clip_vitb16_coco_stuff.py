# CAUSE-TR on COCO-Stuff, 27 classes, with EVA-02-CLIP ViT-B/16; the tower after R-SC-V by --checkpoint.
# Paper: no figure.
# Command: python projects/unsupervised_segmentation/run.py \
#              projects/unsupervised_segmentation/eva_clip_vitb16_coco_stuff.py
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = ['_base_/eva_clip_vitb16.py', '_base_/coco_stuff.py', '_base_/runtime.py']
train_dataloader = dict(dataset=dict(dataset=dict(pipeline={{_base_.train_pipeline}})))
test_dataloader = dict(dataset=dict(pipeline={{_base_.test_pipeline}}))
