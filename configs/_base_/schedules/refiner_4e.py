# R-SC, stage 1 (sec. 4.1): AdamW 1e-4, 4 epochs; weight decay, warm-up and cosine as CLIPSelf.
_base_ = 'adamw_6e.py'
train_cfg = dict(max_epochs=4)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
