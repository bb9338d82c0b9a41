"""Graphs as ONNX files, checked by onnxruntime."""
import json
from pathlib import Path
from typing import Any

import torch

from rsc_mm.utils.dependencies import optional_module
from rsc_mm.utils.files import replacing

from .graphs import Graph
from .ports import Run
from .program import describe, open_shapes, quiet, trace

MOST_BYTES = 2**31 - 1
"""Of an ONNX file."""


def write_onnx(graph: Graph, out: Path) -> dict[tuple[int, ...], float]:
    """Write a graph as ONNX, after onnxruntime gave the same on images of three shapes.

    Inputs and outputs carry their meaning as ``doc_string``; `describe` stands in the metadata as json under 'rsc_mm'.

    Args:
        graph: on the CPU, in float32.
        out: file ending in .onnx.

    Returns:
        For each shape of ``images`` what `Graph.difference` says.

    Raises:
        ImportError: onnx, onnxscript or onnxruntime is not installed.
        ValueError: the graph cannot be traced, is too large for the format, or the file gives something else.
    """
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        optional_module(name, name, 'the export to ONNX', extra='export')
    size = sum(value.numel() * value.element_size() for value in graph.state_dict().values())
    if size > MOST_BYTES:
        raise ValueError(f'export: found {size / 2**30:.1f} GiB of weights, expected at most 2 GiB, the limit of an '
                         'ONNX file; export the program instead: a file ending in .pt2')
    model = convert(graph)
    with replacing(out) as beside:
        model.save(beside)
        differences = compare(graph, beside)
        worst = max(differences.values())
        if not worst <= graph.tolerance:
            raise ValueError(f'{out}: found outputs that differ by {worst:.2g} from those of torch, expected at most '
                             f'{graph.tolerance:g}; nothing was written')
    return differences


def convert(graph: Graph) -> Any:
    """A graph as an ONNX program of torch, described.

    Args:
        graph: see `write_onnx`.

    Raises:
        ValueError: see `trace`.
    """
    program = trace(graph)
    with quiet():
        model = torch.onnx.export(program, dynamic_shapes=open_shapes(graph), verbose=False,
                                  input_names=[port.name for port in graph.inputs],
                                  output_names=[port.name for port in graph.outputs])
    values = (*model.model.graph.inputs, *model.model.graph.outputs)
    for value, port in zip(values, (*graph.inputs, *graph.outputs)):
        value.doc_string = port.describe()
    model.model.metadata_props['rsc_mm'] = json.dumps(describe(graph))
    return model


def compare(graph: Graph, file: Path) -> dict[tuple[int, ...], float]:
    """How much onnxruntime's outputs differ from the graph's on a square, a wide and a high image.

    Args:
        graph: what the file was made of.
        file: ONNX.

    Returns:
        For each shape of ``images`` what `Graph.difference` says.
    """
    unit = graph.unit
    inputs = [graph.example(1, 6 * unit, 6 * unit), graph.example(1, 3 * unit + 1, 9 * unit),
              graph.example(2, 8 * unit, 2 * unit + 5)]
    return {tuple(values[0].shape): graph.difference(run(file, graph, values), call(graph, values))
            for values in inputs}


def run(file: Path, graph: Graph, values: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs of an ONNX file on the CPU.

    Args:
        file: ONNX.
        graph: names the inputs.
        values: its inputs.
    """
    return open_onnx(file, graph)(values)


def open_onnx(file: Path, graph: Graph) -> Run:
    """An ONNX file to be run many times, on the CPU.

    Args:
        file: ONNX.
        graph: names the inputs.
    """
    import onnxruntime
    session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])

    def run(values: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        feeds = {port.name: value.numpy() for port, value in zip(graph.inputs, values)}
        return [torch.from_numpy(array) for array in session.run(None, feeds)]

    return run


@torch.no_grad()
def call(graph: Graph, values: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs of the graph itself.

    Args:
        graph: of any kind.
        values: its inputs.
    """
    outputs = graph(*values)
    return list(outputs) if isinstance(outputs, tuple) else [outputs]
