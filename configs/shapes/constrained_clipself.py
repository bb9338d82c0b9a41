# CLIPSelf on proposals of Shapes with a constraint that R-SC is compared with (Qiu et al., ICLR 2025, table 6a).
# Command: python tools/train.py configs/shapes/constrained_clipself.py
# For L_CL and L_MIM add --cfg-options model.constraint.type=DenseContrast or MaskedModelling.
# Measured here: see README.md.
_base_ = [
    '../_base_/models/shapes_clip.py',
    '../_base_/datasets/shapes_proposals.py', '../_base_/datasets/shapes_panoptic_val.py',
    '../_base_/schedules/shapes.py', '../_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
model = dict(type='ConstrainedRLA', rla=dict(type='CropAlignment'), constraint=dict(type='AttentionCorrelation'))
