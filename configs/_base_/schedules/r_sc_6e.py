# R-SC, stage 2 (sec. 4.1): AdamW 2e-5, 6 epochs; weight decay, warm-up and cosine as CLIPSelf.
_base_ = 'adamw_6e.py'
optim_wrapper = dict(optimizer=dict(lr=2e-5))
