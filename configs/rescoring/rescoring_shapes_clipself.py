# A class-agnostic detector of Shapes with names for its boxes by the CLIPSelf tower; only the tower differs.
# Paper: none on Shapes; the fusion is F-VLM's (Kuo et al., ICLR 2023, eq. 3).
# Commands: python tools/train.py configs/shapes/clipself_proposals.py
#           python tools/train.py configs/rescoring/class_agnostic_shapes.py
#           python tools/test.py configs/rescoring/rescoring_shapes_clipself.py CHECKPOINT
# Measured here: see README.md
_base_ = [
    '../_base_/models/class_agnostic_shapes.py', '../_base_/models/rescoring_shapes.py',
    '../_base_/datasets/shapes_detection.py', '../_base_/detection_runtime.py'
]
model = dict(
    _delete_=True,
    type='rsc_mm.RescoredDetector',
    detector={{_base_.model}},
    backbone=dict(
        type='rsc_mm.EVACLIPViT',
        arch={{_base_.clip_backbone.arch}},
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/clipself_proposals/iter_750.pth')),
    region_preprocessor={{_base_.clip_preprocessor}},
    classes='shapes_things',
    class_embeddings={{_base_.clip_embeddings}},
    clip_temperature=15.,  # with beta the best of 6 settings on the dev split: README.md
    beta=0.35)
test_cfg = dict(type='TestLoop')
train_dataloader = val_dataloader = val_evaluator = None  # it is not trained
