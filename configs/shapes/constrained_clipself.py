# CLIPSelf on proposals of Shapes with a constraint that R-SC is compared with (Qiu et al., ICLR 2025, table 6a).
# Command: python tools/train.py configs/shapes/constrained_clipself.py
# For L_CL and L_MIM add --cfg-options model.constraint.type=DenseContrast or MaskedModelling.
# Measured here: see README.md.
_base_ = 'clipself_proposals.py'
model = dict(type='ConstrainedRLA', rla=dict(type='CropAlignment'), constraint=dict(type='AttentionCorrelation'))
