# CLIPSelf on class-agnostic proposals of Creatures, after projects/creatures_clip/train.py.
# Command: python tools/train.py projects/creatures_clip/clipself_proposals.py
# Measured here: see TRIES.md.
_base_ = '../../configs/shapes/clipself_proposals.py'
clip_checkpoint = '{{$CREATURES_CLIP:work_dirs/creatures_clip/creatures_clip.pt}}'
model = dict(
    backbone=dict(arch=dict(embed_dim=128, depth=4, num_heads=2), init_cfg=dict(checkpoint=clip_checkpoint)),
    data_preprocessor=dict(image_size=192))
train_dataloader = dict(dataset=dict(data_root='{{$CREATURES_ROOT:data/creatures}}'))
val_cfg = None
val_dataloader = None
val_evaluator = None
