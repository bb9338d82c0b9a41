# OV-DQUO on OV-COCO: 30 epochs, else as on OV-LVIS.
_base_ = 'ov_dquo_ov_lvis.py'
train_cfg = dict(max_epochs=30)
