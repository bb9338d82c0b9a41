# The tiny VFM of Shapes as the analysis tools read it; not for training, which is shapes_vfm.py.
# Command: see README.md.
# Measured here: see README.md.
model = dict(
    type='VFMTeacher',
    arch=dict(
        img_size=128, patch_size=8, embed_dim=128, depth=4, num_heads=4, num_classes=0, class_token=False,
        global_pool=''))
default_scope = 'rsc_mm'
