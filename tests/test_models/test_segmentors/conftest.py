from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parents[2] / 'data' / 'catseg_reference.npz'


@pytest.fixture(scope='session')
def golden() -> dict[str, torch.Tensor]:
    """CAT-Seg's public aggregator: 'sd/' its weights, 'io/' inputs and logits."""
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope='session')
def official(golden: dict) -> dict[str, torch.Tensor]:
    """Its weights under the public names."""
    return {key.removeprefix('sd/'): value for key, value in golden.items() if key.startswith('sd/')}
