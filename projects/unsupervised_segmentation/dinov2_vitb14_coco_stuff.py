# CAUSE-TR on COCO-Stuff, 27 classes, with DINOv2 ViT-B/14; the tower after R-SC-V by --checkpoint.
# Paper: R-SC, table 5: mIoU / pixel accuracy 43.0 / 76.9, after R-SC-V 44.1 / 77.4 (clusters after the CRF).
# Command: python projects/unsupervised_segmentation/run.py \
#              projects/unsupervised_segmentation/dinov2_vitb14_coco_stuff.py
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = ['_base_/dinov2_vitb14.py', '_base_/coco_stuff.py', '_base_/runtime.py']
train_dataloader = dict(dataset=dict(dataset=dict(pipeline={{_base_.train_pipeline}})))
test_dataloader = dict(dataset=dict(pipeline={{_base_.test_pipeline}}))
