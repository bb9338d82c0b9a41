from .vfm import VFMTeacher

__all__ = ['VFMTeacher']
