# Base/novel detection on Shapes with pseudo boxes of unknown objects, else as shapes_detection.py.
_base_ = 'shapes_detection.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='rsc_mm.PackUnknownObjects'),
]
train_dataloader = dict(
    dataset=dict(
        type='rsc_mm.UnknownObjectsCocoDataset',
        unknown_objects=None,  # or a file of tools/data/generate_unknown_objects.py: README.md
        pipeline=train_pipeline))
