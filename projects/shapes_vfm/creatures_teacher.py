# The tiny VFM of Creatures as the analysis tools read it; not for training, which is creatures_vfm.py.
# Command: see README.md.
# Measured here: see README.md.
_base_ = 'teacher.py'
model = dict(arch=dict(img_size=192))
