# CLIPSelf with L_CL, dense contrast to an EMA teacher (DenseCL), in the place of SCD, recipe of stage 2.
# Paper: table 6(a): boxes / thing masks / stuff masks top-1 65.1 / 67.6 / 29.6; OV-COCO novel AP50 27.4
# Command: bash tools/dist_train.sh configs/rsc/ablations/clipself_vitb16_cl.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../../_base_/models/clipself_vitb16.py',
    '../../_base_/datasets/coco_proposals.py', '../../_base_/datasets/coco_panoptic_val.py',
    '../../_base_/schedules/r_sc_6e.py', '../../_base_/default_runtime.py'
]
model = dict(
    type='ConstrainedRLA',
    rla=dict(type='CropAlignment'),
    constraint=dict(type='DenseContrast'))
train_dataloader = dict(batch_size=4)
