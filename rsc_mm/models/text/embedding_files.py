"""Files of class embeddings: ours, CLIPSelf's .npy and F-ViT's .pt."""
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from rsc_mm.utils.checkpoint_reader import reading_error
from rsc_mm.utils.files import replacing

SUFFIXES = ('.safetensors', '.pt', '.npy')


def read_embeddings(path: str | Path) -> tuple[list[str] | None, torch.Tensor]:
    """Class embeddings of a file.

    ============= ============================================== =========================
    .safetensors  ``embeddings`` (T, D), names in the metadata   this package
    .pt, .pth     dict of name -> (D,)                           F-ViT, this package
    .npy          (T, D) in class order, without names           CLIPSelf, this package
    ============= ============================================== =========================

    Args:
        path: the file.

    Returns:
        T names, or None where the format has none, and (T, D) float32 of unit norm.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another format, or a damaged file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'class embeddings {path}: no such file; write it with '
                                'tools/data/dump_text_embeddings.py')
    readers = {'.safetensors': _read_safetensors, '.pt': _read_pt, '.pth': _read_pt, '.npy': _read_npy}
    if path.suffix not in readers:
        raise ValueError(f'class embeddings {path}: found the ending {path.suffix!r}, expected one of {list(readers)}')
    try:
        names, embeddings = readers[path.suffix](path)
    except Exception as error:  # each reader has its own kinds: UnpicklingError, SafetensorError, EOFError ...
        raise ValueError(f'class embeddings {path}: cannot be read ({reading_error(error)}); expected '
                         f'{readers[path.suffix].__doc__}') from error
    embeddings = unit_rows(embeddings, f'class embeddings {path}')
    if names is not None and len(names) != len(embeddings):
        raise ValueError(f'class embeddings {path}: found {len(names)} names and {len(embeddings)} rows')
    return names, embeddings


def write_embeddings(path: str | Path, names: list[str], embeddings: torch.Tensor) -> None:
    """Writes a file that `read_embeddings` reads, complete or not at all.

    Args:
        path: .safetensors, .pt (as F-ViT reads it) or .npy (as CLIPSelf reads it; without names).
        names: T class names.
        embeddings: (T, D).

    Raises:
        OSError: it could not be written.
        ValueError: another ending, names that occur twice in a .pt file, or values that are not finite.
    """
    path = Path(path)
    embeddings = embeddings.detach().float().cpu().contiguous()
    if path.suffix not in SUFFIXES:
        raise ValueError(f'class embeddings {path}: found the ending {path.suffix!r}, expected one of {SUFFIXES}')
    if path.suffix == '.pt' and len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f'class embeddings {path}: found the names {twice} twice, which a .pt file (name -> '
                         'embedding) cannot hold; expected .safetensors or .npy')
    if bad := [name for name, row in zip(names, embeddings, strict=True) if not row.isfinite().all()]:
        raise ValueError(f'class embeddings {path}: found NaN or infinity for {bad[:5]} ({len(bad)} of {len(names)} '
                         "names), expected finite values; are the text tower's weights whole?")
    with replacing(path) as part:
        if path.suffix == '.safetensors':
            save_file({'embeddings': embeddings}, part, metadata={'names': json.dumps(names)})
        elif path.suffix == '.pt':
            torch.save({name: row.clone() for name, row in zip(names, embeddings)}, part)
        else:
            np.save(part, embeddings.numpy())


def unit_rows(embeddings: torch.Tensor, source: str) -> torch.Tensor:
    """Rows of unit norm in float32.

    Args:
        embeddings: (T, D).
        source: how messages name them.

    Returns:
        (T, D) float32 on the CPU.

    Raises:
        ValueError: not a matrix, or a row is zero or not finite.
    """
    embeddings = embeddings.detach().float().cpu()
    if embeddings.ndim != 2 or not embeddings.numel():
        raise ValueError(f'{source}: found shape {tuple(embeddings.shape)}, expected (classes, embedding size)')
    bad = (~torch.isfinite(embeddings).all(dim=1) | (embeddings.norm(dim=1) == 0)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(f'{source}: found zero or non-finite values in the rows {bad[:10]}, expected unit vectors')
    return F.normalize(embeddings, dim=1)


def _read_safetensors(path: Path) -> tuple[list[str], torch.Tensor]:
    """a safetensors file with 'embeddings' (T, D) and a json list 'names' in its metadata"""
    with safe_open(path, framework='pt') as file:
        return json.loads((file.metadata() or {})['names']), file.get_tensor('embeddings')


def _read_pt(path: Path) -> tuple[list[str], torch.Tensor]:
    """a dict of class name -> embedding (D,)"""
    content = torch.load(path, map_location='cpu', weights_only=True)
    return list(content), torch.stack(list(content.values()))


def _read_npy(path: Path) -> tuple[None, torch.Tensor]:
    """a numpy array (T, D) in class order"""
    return None, torch.from_numpy(np.load(path))
