# CAUSE-TR on Cityscapes, 27 classes, with DINOv2 ViT-B/14; the tower after R-SC-V by --checkpoint.
# Paper: R-SC, table 5: mIoU / pixel accuracy 29.9 / 89.8, after R-SC-V 31.8 / 90.5 (clusters after the CRF).
# Command: python projects/unsupervised_segmentation/run.py \
#              projects/unsupervised_segmentation/dinov2_vitb14_cityscapes.py
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = ['_base_/dinov2_vitb14.py', '_base_/cityscapes.py', '_base_/runtime.py']
train_dataloader = dict(dataset=dict(dataset=dict(pipeline={{_base_.train_pipeline}})))
test_dataloader = dict(dataset=dict(pipeline={{_base_.test_pipeline}}))
