from .class_maps import class_map

__all__ = ['class_map']
