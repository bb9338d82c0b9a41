# SC-Region-Text on Shapes: nouns beside the frozen tower's correlations (Qiu et al., ICLR 2025, sec. 3.2).
# Commands: those of region_text.py, then
#           python tools/train.py configs/shapes/sc_region_text.py
# Measured here: see README.md.
_base_ = 'r_sc_region_text.py'
model = dict(refiner=None)
