"""A tower adapted to a folder of images: what tools/adapt.py runs."""
from .adapt import Settings, adapt
from .data import read_images, split_images
from .recipe import Plan, plan_training

__all__ = ['Plan', 'Settings', 'adapt', 'plan_training', 'read_images',
           'split_images']
