# CAT-Seg in small, on the original tiny tower: trained on the base classes of Shapes, tested on all 18, of which heart,
# cross and hourglass were never seen (Cho et al., CVPR 2024, sec. 4).
# Commands: python tools/train.py configs/shapes/catseg_shapes.py
#           python tools/test.py configs/shapes/catseg_shapes.py work_dirs/catseg_shapes/iter_600.pth
# Measured here: see README.md.
_base_ = [
    '../_base_/models/catseg_shapes.py', '../_base_/datasets/shapes_semantic_base.py',
    '../_base_/schedules/catseg_shapes.py', '../_base_/catseg_runtime.py'
]
