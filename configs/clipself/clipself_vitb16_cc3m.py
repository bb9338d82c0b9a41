# CLIPSelf on image patches of CC3M, EVA-02-CLIP ViT-B/16, 1024 px (CLIPSelf, Wu et al., ICLR 2024).
# Paper: table 8: boxes / thing masks / stuff masks top-1 72.1 / 74.5 / 49.5; OV-COCO novel AP50 35.8
# Command: bash tools/dist_train.sh configs/clipself/clipself_vitb16_cc3m.py 8
# Measured here: not measured (the data are not at hand; the plumbing runs in CI: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py', '../_base_/datasets/cc3m.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
train_cfg = dict(max_epochs=1)
val_cfg = val_evaluator = test_cfg = test_evaluator = None  # a folder of images is all it needs
