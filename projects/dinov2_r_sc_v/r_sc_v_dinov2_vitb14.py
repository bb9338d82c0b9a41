# R-SC-V on proposals of COCO, DINOv2 ViT-B/14, 896 px: the Refiner's correlations alone (Qiu et al., ICLR 2025,
# sec. 4.4).
# Paper: table 5: CAUSE on DINOv2, mIoU / accuracy: Cityscapes 31.8 / 90.5 (29.9 / 89.8 without R-SC-V);
#        COCO-Stuff 44.1 / 77.4 (43.0 / 76.9)
# Commands: bash tools/dist_train.sh projects/dinov2_r_sc_v/refiner_dinov2_vitb14.py 8
#           bash tools/dist_train.sh projects/dinov2_r_sc_v/r_sc_v_dinov2_vitb14.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../../configs/_base_/models/r_sc_vitb16.py', '../../configs/_base_/datasets/coco_proposals.py',
    '../../configs/_base_/schedules/r_sc_6e.py', '../../configs/_base_/default_runtime.py'
]
model = dict(
    rla=None,
    backbone=dict(
        type='DINOv2ViT', arch='vit_base_patch14_dinov2', readout='vanilla',
        init_cfg=dict(checkpoint='data/checkpoints/dinov2_vitb14_pretrain.pth')),
    refiner=dict(init_cfg=dict(
        checkpoint='work_dirs/refiner_dinov2_vitb14/refiner.pth',
        command='bash tools/dist_train.sh projects/dinov2_r_sc_v/refiner_dinov2_vitb14.py 8')),
    data_preprocessor=dict(
        image_size=896, crop_size=None, patch_size=14, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
train_dataloader = dict(batch_size=4)
val_cfg = val_evaluator = test_cfg = test_evaluator = None  # no text, no names
