# CLIPSelf on image patches of CC3M, EVA-02-CLIP ViT-L/14, 896 px (CLIPSelf, Wu et al., ICLR 2024).
# Paper: not tabulated
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitl14_cc3m.py 8
# Measured here: not measured (the data are not at hand; the plumbing runs in CI: see README.md)
_base_ = [
    '../_base_/models/clipself_vitl14.py', '../_base_/datasets/cc3m.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_cfg = dict(max_epochs=1)
val_cfg = val_evaluator = test_cfg = test_evaluator = None  # a folder of images is all it needs
