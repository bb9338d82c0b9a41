"""Tensors of a TorchScript archive, such as OpenAI's CLIP files, without running the code in it.

``torch.jit.load`` runs what the archive says in ``__setstate__``, which may write files. Here its pickle becomes plain
tables of attributes: the keys are those of ``torch.jit.load(path).state_dict()`` for modules whose tensors are
parameters and buffers.
"""
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

STORAGES = {f'{name}Storage': dtype for name, dtype in dict(
    Float=torch.float32, Double=torch.float64, Half=torch.float16, BFloat16=torch.bfloat16, Long=torch.int64,
    Int=torch.int32, Short=torch.int16, Char=torch.int8, Byte=torch.uint8, Bool=torch.bool).items()}


class Attributes:
    """A module or another object of the archive; the unpickler fills its ``__dict__``."""


def read_torchscript(path: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of the archive's module by dotted name.

    Args:
        path: file written by ``torch.jit.save``.

    Raises:
        UnpicklingError: it holds something else than modules, tensors and plain values.
    """
    with zipfile.ZipFile(path) as archive:
        name, = [name for name in archive.namelist() if name.endswith('/data.pkl')]
        return dict(_tensors(_Reader(archive, name).load()))


class _Reader(pickle.Unpickler):
    """Builds attribute tables and tensors, and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        super().__init__(archive.open(name))
        self.archive, self.folder = archive, name.removesuffix('.pkl')

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the archive stands for."""
        if module.startswith('__torch__'):
            return Attributes
        if module == 'torch' and name in STORAGES:
            return STORAGES[name]
        known = {('torch._utils', '_rebuild_tensor_v2'): _rebuild, ('collections', 'OrderedDict'): OrderedDict,
                 ('torch.jit._pickle', 'restore_type_tag'): lambda value, tag: value}
        if module == 'torch.jit._pickle' and name.startswith('build_') and name.endswith('list'):
            return list
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'the TorchScript archive names {module}.{name}')
        return known[module, name]

    def persistent_load(self, pid: tuple) -> torch.Tensor:
        """A storage, as a flat tensor."""
        _, dtype, key, _, _ = pid
        content = bytearray(self.archive.read(f'{self.folder}/{key}'))
        return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _rebuild(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *args: Any) -> torch.Tensor:
    return storage.as_strided(size, stride, offset).clone()


def _tensors(value: Attributes, prefix: str = '') -> list[tuple[str, torch.Tensor]]:
    found = []
    for key, entry in vars(value).items():
        if isinstance(entry, Attributes):
            found += _tensors(entry, f'{prefix}{key}.')
        elif isinstance(entry, torch.Tensor):
            found.append((prefix + key, entry))
    return found
