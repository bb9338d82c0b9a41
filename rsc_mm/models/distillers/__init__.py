from .clipself import CLIPSelf
from .distiller import Distiller, ensemble
from .region_text import RegionText

__all__ = ['CLIPSelf', 'Distiller', 'RegionText', 'ensemble']
