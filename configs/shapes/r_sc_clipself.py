# R-SC-CLIPSelf on proposals of Shapes: the correlations of the Refiner (Qiu et al., ICLR 2025, sec. 3.4).
# Commands: python tools/train.py configs/shapes/refiner.py
#           python tools/train.py configs/shapes/r_sc_clipself.py
# Measured here: see README.md.
_base_ = 'sc_clipself.py'
model = dict(
    refiner=dict(
        type='Refiner', num_blocks=2, inter_layers=(2, 3), hidden_dims=1024,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/refiner/refiner.pth',
            command='python tools/train.py configs/shapes/refiner.py')))
