# R-SC-V on proposals of Shapes: the Refiner's correlations alone (Qiu et al., ICLR 2025, sec. 3.4).
# Commands: python tools/train.py configs/shapes/refiner.py
#           python tools/train.py configs/shapes/r_sc_v.py
# Measured here: see README.md.
_base_ = 'r_sc_clipself.py'
model = dict(rla=None, data_preprocessor=dict(crop_size=None))
