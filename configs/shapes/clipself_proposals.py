# CLIPSelf on class-agnostic proposals of Shapes (CLIPSelf, Wu et al., ICLR 2024, sec. 4.2).
# Command: python tools/train.py configs/shapes/clipself_proposals.py
# Measured here: see README.md.
_base_ = 'clipself_grid.py'
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/proposals_train.json',
        regions=dict(type='ProposalRegions')))
