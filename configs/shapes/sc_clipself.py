# SC-CLIPSelf on proposals of Shapes: the correlations of the frozen tower (Qiu et al., ICLR 2025, sec. 3.2).
# Command: python tools/train.py configs/shapes/sc_clipself.py
# Measured here: see README.md, also for the choice of lambda and the temperatures on the dev split (the paper: 0.2).
_base_ = 'clipself_proposals.py'
model = dict(type='SCRLA', scd_loss=dict(type='SCDLoss', loss_weight=0.05, tau_s=0.05, tau_t=0.05))
