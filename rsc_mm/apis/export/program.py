"""Graphs as programs of torch.export."""
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic

from rsc_mm.utils.files import replacing

from .graphs import Graph
from .ports import Run

SHAPES: Any = symbolic  # its functions are made at run time


@torch.no_grad()
def trace(graph: Graph) -> ExportedProgram:
    """A graph as a program of `torch.export` whose named axes stay open.

    Args:
        graph: on the CPU, in float32.

    Returns:
        A program whose ``module()`` gives on inputs of any size what the graph gives.

    Raises:
        ValueError: the tower does something that torch.export cannot follow with open sizes.
    """
    try:
        with quiet(), SHAPES.patch(backed_size_oblivious=graph.size_oblivious):
            return torch.export.export(graph.eval(), example_inputs(graph), dynamic_shapes=open_shapes(graph))
    except (torch._dynamo.exc.UserError, RuntimeError) as error:
        raise ValueError(f'export: {graph.name} cannot be exported with open image sizes by torch {torch.__version__}: '
                         f'{str(error).strip().splitlines()[0]}') from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of torch and torchvision about their own exporter, and about axes that inputs share."""
    with warnings.catch_warnings():
        for message, kind in (('`isinstance.treespec, LeafSpec.` is deprecated', FutureWarning),
                              ('`create_unbacked_symint` is deprecated', FutureWarning),
                              ('# The axis name: .* shares the same shape constraints', UserWarning)):
            warnings.filterwarnings('ignore', message, kind)
        yield


def example_inputs(graph: Graph) -> tuple[torch.Tensor, ...]:
    """What a graph is traced with: all lengths differ, since torch.export takes equal ones for the same.

    Args:
        graph: of any kind.
    """
    return graph.example(2, 4 * graph.unit + 3, 7 * graph.unit - 3)


def open_shapes(graph: Graph) -> dict[str, dict[int, Dim]]:
    """The open axes of a graph's inputs, as torch.export takes them.

    Args:
        graph: of any kind.
    """
    names = {name for port in graph.inputs for name in port.open_axes.values()}
    dims = {name: Dim(name, min=graph.least.get(name, 1)) for name in sorted(names)}
    return {port.name: {axis: dims[name] for axis, name in port.open_axes.items()} for port in graph.inputs}


def describe(graph: Graph) -> dict[str, Any]:
    """Inputs, outputs and facts of a graph as plain values: what stands in every exported file.

    Args:
        graph: of any kind.
    """
    ports = {kind: {port.name: port.describe() for port in getattr(graph, kind)} for kind in ('inputs', 'outputs')}
    return {**ports, **graph.facts()}


def write_program(graph: Graph, out: Path) -> None:
    """Write a graph for ``torch.export.load``; `describe` stands in its extra file ``rsc_mm.json``.

    Args:
        graph: see `trace`.
        out: file ending in .pt2.

    Raises:
        ValueError: see `trace`.
    """
    program = trace(graph)
    with replacing(out) as beside:
        torch.export.save(program, beside, extra_files={'rsc_mm.json': json.dumps(describe(graph))})


def open_program(file: Path, graph: Graph) -> Run:
    """A program to be run many times.

    Args:
        file: of `write_program`.
        graph: not used; ONNX files need it.
    """
    module = torch.export.load(file).module()
    return lambda values: list(module(*values))
