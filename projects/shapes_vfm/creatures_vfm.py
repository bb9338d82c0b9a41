# The tiny vision foundation model of Creatures: that of Shapes on scenes of 192 px (README.md).
# Command: python projects/shapes_vfm/train.py projects/shapes_vfm/creatures_vfm.py --work-dir work_dirs/creatures_vfm
# Measured here: see README.md.
_base_ = 'shapes_vfm.py'
model = dict(arch=dict(img_size=192), data_preprocessor=dict(image_size=192))
train_dataloader = dict(dataset=dict(data_root='{{$CREATURES_ROOT:data/creatures}}'))
