"""One call for the tool: a graph to the file that its ending asks for."""
from collections.abc import Callable
from pathlib import Path

from .graphs import Graph
from .onnx_file import open_onnx, write_onnx
from .ports import Run
from .program import open_program, write_program

WRITERS: dict[str, Callable] = {'.onnx': write_onnx, '.pt2': write_program}
READERS: dict[str, Callable] = {'.onnx': open_onnx, '.pt2': open_program}


def export(graph: Graph, out: str | Path, overwrite: bool = False) -> dict[tuple[int, ...], float]:
    """Write a graph; the ending of ``out`` chooses the format.

    ===== ==========================================================================
    .onnx ONNX, checked by onnxruntime, see `write_onnx`
    .pt2  a program for ``torch.export.load``, see `write_program`
    ===== ==========================================================================

    Args:
        graph: such as ``DenseGraph(rsc_mm.load(FILE, device='cpu'))``.
        out: the file.
        overwrite: replace what is there.

    Returns:
        For each shape of images that was compared what `Graph.difference` says; empty for .pt2, which runs the same
        operators.

    Raises:
        FileExistsError: ``out`` is there and ``overwrite`` is not set.
        ImportError: what .onnx needs is not installed.
        ValueError: another ending, or the graph cannot be exported.

    Examples:
        >>> import tempfile
        >>> import rsc_mm
        >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
        >>> out = tempfile.mkdtemp() + '/dense.onnx'
        >>> differences = export(DenseGraph(model), out)  # doctest: +SKIP
        >>> max(differences.values()) < 1e-4  # doctest: +SKIP
        True
    """
    out = Path(out)
    if out.suffix not in WRITERS:
        raise ValueError(f'OUT: found the ending {out.suffix!r}, expected one of {sorted(WRITERS)}')
    if out.exists() and not overwrite:
        raise FileExistsError(f'{out}: is there already; give another name, or --overwrite to replace it')
    return WRITERS[out.suffix](graph, out) or {}


def open_file(path: Path, graph: Graph) -> Run:
    """What `export` wrote, to be run: inputs to outputs, on the CPU.

    Args:
        path: file ending in .onnx or .pt2.
        graph: what it was made of.
    """
    return READERS[path.suffix](path, graph)


def report(graph: Graph, differences: dict[tuple[int, ...], float]) -> str:
    """What a file takes and gives, and how it was checked, as text.

    Args:
        graph: what was exported.
        differences: what `export` returned.
    """
    lines = [f'{kind} {port.name} {port.describe()}' for kind, ports in (('in ', graph.inputs), ('out', graph.outputs))
             for port in ports]
    lines += [f'{name}: {value}' for name, value in graph.facts().items()]
    lines += [f'onnxruntime on images {shape}: at most {value:.1e} from torch' for shape, value in differences.items()]
    return '\n'.join(lines)
