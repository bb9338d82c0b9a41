"""The training pool on disk, its batches, and the held-out images."""
import time
from pathlib import Path

import numpy as np
import torch
from model import TEXT_ARCH
from samples import draw_pool, draw_single
from torch import Tensor

from rsc_mm.datasets.shapes import CLASS_NAMES, SHAPES
from rsc_mm.models.text.text_tower import tokenize

HELD_OUT_SEED = 10 ** 6
Pool = dict[str, Tensor]


def load_pool(path: Path, seed: int, count: int, aside: float) -> Pool:
    """Draws the training pool, or reads it where it was drawn before.

    Args:
        path: File of the pool.
        seed: Seed of the pool.
        count: Number P of images.
        aside: Share of the images whose things lie near the border.

    Returns:
        images (P, 3, 64, 64) uint8; caption (P,), index into the C distinct captions; tokens (C, L); facts (P, F) true
        of each image and stated (C, F) by each caption, bool.
    """
    if not path.exists():
        start = time.time()
        pool = _draw(seed, count, aside)
        torch.save(pool, path.with_suffix('.tmp'))
        path.with_suffix('.tmp').rename(path)
        print(f"drew {count} images with {len(pool['tokens'])} captions in {time.time() - start:.0f} s", flush=True)
    return torch.load(path)


def _draw(seed: int, count: int, aside: float) -> Pool:
    samples = draw_pool(seed, count, aside)
    captions, caption = np.unique([sample.caption for sample in samples], return_inverse=True)
    stated = np.zeros((len(captions), len(samples[0].stated)), bool)
    stated[caption] = [sample.stated for sample in samples]
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return dict(images=images.permute(0, 3, 1, 2).contiguous(), caption=torch.from_numpy(caption),
                tokens=tokenize(captions.tolist(), TEXT_ARCH['context_length']), stated=torch.from_numpy(stated),
                facts=torch.from_numpy(np.stack([sample.facts for sample in samples])))


def take_batch(pool: Pool, step: int, batch: int, seed: int, salience: bool) -> tuple[Tensor, ...]:
    """The batch of a step: a function of seed and step alone, so that a resumed run repeats exactly.

    Args:
        pool: As `load_pool` returns it.
        step: Number of the step from 0.
        batch: Images B.
        seed: Seed of order and flips.
        salience: A caption that names things is false of an image captioned by its stuff alone, and the reverse: the
            model learns which of two true names comes first. Otherwise every caption that fits is true.

    Returns:
        images (B, 3, 64, 64) uint8, half of them flipped; tokens (U, L) of the batch's unique captions; caption (B,),
        index into them; true (B, U) bool.
    """
    epoch, position = divmod(step, len(pool['images']) // batch)
    order = np.random.default_rng((seed, epoch)).permutation(len(pool['images']))
    rows = torch.from_numpy(order[position * batch:(position + 1) * batch])
    flip = torch.from_numpy(np.random.default_rng((seed, epoch, position)).random(batch) < 0.5)
    images = pool['images'][rows]
    images[flip] = images[flip].flip(3)
    unique, caption = pool['caption'][rows].unique(return_inverse=True)
    # A caption is true of an image if it states nothing that the image lacks.
    stated = pool['stated'][unique]
    true = (~pool['facts'][rows]).float() @ stated.float().t() == 0
    if salience:
        names_thing = stated[:, :len(SHAPES)].any(1)
        true &= names_thing[caption][:, None] == names_thing
    return images, pool['tokens'][unique], caption, true


def held_out(count: int = 25) -> tuple[Tensor, Tensor]:
    """Single-object and single-texture images that no pool holds.

    Args:
        count: Images per class.

    Returns:
        (M, 3, 64, 64) uint8 and labels (M,).
    """
    images = [draw_single(name, np.random.default_rng((HELD_OUT_SEED, index, i)))
              for index, name in enumerate(CLASS_NAMES) for i in range(count)]
    labels = torch.arange(len(CLASS_NAMES)).repeat_interleave(count)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), labels  # (M, 3, 64, 64)
