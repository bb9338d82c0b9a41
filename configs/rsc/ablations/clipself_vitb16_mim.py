# CLIPSelf with L_MIM, masked modelling with an EMA teacher (iBOT), in the place of SCD, recipe of stage 2.
# Paper: table 6(a): boxes / thing masks / stuff masks top-1 73.6 / 75.9 / 36.3; OV-COCO novel AP50 37.5
# Command: bash tools/dist_train.sh configs/rsc/ablations/clipself_vitb16_mim.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../../_base_/models/clipself_vitb16.py',
    '../../_base_/datasets/coco_proposals.py', '../../_base_/datasets/coco_panoptic_val.py',
    '../../_base_/schedules/r_sc_6e.py', '../../_base_/default_runtime.py'
]
model = dict(
    type='ConstrainedRLA',
    rla=dict(type='CropAlignment'),
    constraint=dict(type='MaskedModelling'))
train_dataloader = dict(batch_size=4)
