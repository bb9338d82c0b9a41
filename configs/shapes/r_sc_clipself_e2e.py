# R-SC-CLIPSelf on Shapes with both stages at once (Qiu et al., ICLR 2025, sec. 4.5, E2E).
# Command: python tools/train.py configs/shapes/r_sc_clipself_e2e.py
# Measured here: see README.md.
_base_ = 'sc_clipself.py'
model = dict(
    type='EndToEndSCRLA',
    refiner=dict(type='Refiner', num_blocks=2, inter_layers=(2, 3), hidden_dims=1024),
    refiner_loss=dict(type='RefinerLoss'))
train_dataloader = dict(
    dataset=dict(regions=dict(_delete_=True, type='WithLocalCrops', regions=dict(type='ProposalRegions'))))
