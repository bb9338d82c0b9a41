# SC-Region-Text on Creatures: nouns beside the frozen tower's correlations (Qiu et al., ICLR 2025, sec. 3.2).
# Commands: those of region_text_creatures.py, then
#           python tools/train.py configs/creatures/sc_region_text_creatures.py
# Measured here: see README.md.
_base_ = 'r_sc_region_text_creatures.py'
model = dict(refiner=None)
