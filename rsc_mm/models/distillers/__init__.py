from .alignment import CropAlignment, NounAlignment
from .clipself import CLIPSelf
from .constrained_rla import ConstrainedRLA
from .constraints import AttentionCorrelation, DenseContrast, MaskedModelling
from .declip import DeCLIP
from .denserc import DenseRC
from .distiller import Distiller, ensemble
from .end_to_end import EndToEndSCRLA
from .refiner_trainer import RefinerTrainer
from .region_text import RegionText
from .scrla import SCRLA

__all__ = ['AttentionCorrelation', 'CLIPSelf', 'ConstrainedRLA', 'CropAlignment', 'DeCLIP', 'DenseContrast',
           'DenseRC', 'Distiller', 'EndToEndSCRLA', 'MaskedModelling', 'NounAlignment', 'RefinerTrainer', 'RegionText',
           'SCRLA', 'ensemble']
