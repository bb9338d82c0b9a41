"""Towers and detectors for programs without this package: ONNX files and programs of torch.export."""
from .detector import DetectorGraph
from .exporting import export, open_file, report
from .graphs import GRAPHS, DenseGraph, Graph, ImageGraph, RegionGraph, TowerGraph
from .onnx_file import convert, write_onnx
from .ports import Port
from .program import describe, trace, write_program

__all__ = ['GRAPHS', 'DenseGraph', 'DetectorGraph', 'Graph', 'ImageGraph', 'Port', 'RegionGraph', 'TowerGraph',
           'convert', 'describe', 'export', 'open_file', 'report', 'trace', 'write_onnx', 'write_program']
