import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rsc_mm.datasets.shapes import CLASS_NAMES, COLOURS, SHAPES, TEXTURES
from rsc_mm.models import EVACLIPViT
from rsc_mm.models.text import CLIPTextEncoder
from rsc_mm.utils.checkpoint import load_clip_checkpoint

PROJECT = Path(__file__).parents[2] / 'projects' / 'shapes_clip'


@pytest.fixture(scope='module')
def project() -> SimpleNamespace:
    """The project's modules; they are scripts beside each other, not a package."""
    sys.path.insert(0, str(PROJECT))
    try:
        import model
        import pool
        import samples
        return SimpleNamespace(model=model, pool=pool, samples=samples)
    finally:
        sys.path.remove(str(PROJECT))


def test_facts_of_phrases(project: SimpleNamespace) -> None:
    ids = project.samples.fact_ids
    assert ids('circle') == [0] and ids(texture='stripes') == [10]
    assert ids('square', 'green') == [1, 18 + 1, 18 + 8 + 10 + 1]
    every = {i for s in SHAPES for c in COLOURS for i in ids(s, c)} | {i for t in TEXTURES for i in ids(texture=t)}
    assert every == set(range(project.samples.NUM_FACTS))


def test_captions_are_true_and_state_what_they_say(project: SimpleNamespace) -> None:
    for index in range(150):
        sample = project.samples.draw_sample(np.random.default_rng((3, index)), aside=0.3)
        assert sample.image.shape == (64, 64, 3) and sample.image.dtype == np.uint8
        assert not (sample.stated & ~sample.facts).any()
        words = re.findall('[a-z]+', sample.caption)
        assert {CLASS_NAMES[i] for i in np.flatnonzero(sample.stated[:18])} == set(words) & set(CLASS_NAMES)
        colours = {project.samples.COLOUR_NAMES[i] for i in np.flatnonzero(sample.stated[18:26])}
        assert colours == set(words) & set(COLOURS)
        assert 1 <= sample.facts[10:18].sum() <= 2 and sample.facts[:10].sum() <= 2


def test_pool_does_not_depend_on_processes(project: SimpleNamespace) -> None:
    one, two = (project.samples.draw_pool(1, 6, 0.5, processes, chunk=2) for processes in (1, 2))
    assert all(a.caption == b.caption and (a.image == b.image).all() for a, b in zip(one, two))


def test_crop_is_centred_on_black(project: SimpleNamespace) -> None:
    padded = project.samples.as_crop(np.full((20, 40, 3), 200, np.uint8))
    assert (padded[16:48] == 200).all() and not padded[:16].any() and not padded[48:].any()


def test_loss_by_hand(project: SimpleNamespace) -> None:
    # Caption 1 is also true of image 0: neither is the other's negative, which leaves image 1 against caption 0.
    logits = torch.tensor([[1.0, 5.0], [2.0, 3.0]])
    true = torch.tensor([[True, True], [False, True]])
    loss = project.model.contrastive_loss(logits, torch.tensor([0, 1]), true)
    second_image = math.log(1 + math.exp(2 - 3))
    first_caption = math.log(1 + math.exp(2 - 1))
    assert loss.item() == pytest.approx((second_image / 2 + first_caption / 2) / 2, rel=1e-6)


def test_loss_is_clips_when_all_captions_differ(project: SimpleNamespace) -> None:
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    loss = project.model.contrastive_loss(logits, torch.arange(5), torch.eye(5).bool())
    target = torch.arange(5)
    cross = torch.nn.functional.cross_entropy
    assert loss.item() == pytest.approx((cross(logits, target) + cross(logits.t(), target)).item() / 2, rel=1e-6)


def test_equal_captions_are_no_negatives(project: SimpleNamespace) -> None:
    logits = torch.tensor([[0.7], [-0.4]])
    true = torch.ones(2, 1, dtype=torch.bool)
    assert project.model.contrastive_loss(logits, torch.tensor([0, 0]), true).item() == 0


def test_batch_repeats_and_marks_true_captions(project: SimpleNamespace) -> None:
    drawn = project.pool._draw(2, 12, 0.2)
    first, again = (project.pool.take_batch(drawn, 4, 4, 7, salience=False) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    images, _, caption, true = first
    assert images.shape == (4, 3, 64, 64) and true[torch.arange(4), caption].all()


def test_salience_sets_stuff_captions_against_thing_captions(project: SimpleNamespace) -> None:
    # Two images of a star (fact 3) on dots (fact 12), one captioned 'star', one 'dots'.
    facts = torch.zeros(2, project.samples.NUM_FACTS, dtype=torch.bool)
    facts[:, [3, 12]] = True
    stated = torch.zeros_like(facts)
    stated[0, 3] = stated[1, 12] = True
    pool = dict(images=torch.zeros(2, 3, 64, 64, dtype=torch.uint8), caption=torch.tensor([0, 1]),
                tokens=torch.zeros(2, 32, dtype=torch.long), facts=facts, stated=stated)
    assert project.pool.take_batch(pool, 0, 2, 0, salience=False)[3].all()
    *_, caption, true = project.pool.take_batch(pool, 0, 2, 0, salience=True)
    assert torch.equal(true, torch.nn.functional.one_hot(caption, 2).bool())


def test_training_copy_computes_the_same_embedding(project: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model = project.model.ShapesCLIP().eval()
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (project.model.CLIP_MEAN, project.model.CLIP_STD))
    exact = model.image.encode_image((images / 255 - mean) / std, normalize=True)
    assert (model.encode_image(images) * exact).sum(1).min() > 0.999
    encoder = CLIPTextEncoder(project.model.TEXT_ARCH, {f'text.{k}': v for k, v in model.text.state_dict().items()})
    tokens = project.pool.tokenize(['a photo of a star.', 'dots'], 32)
    torch.testing.assert_close(model.encode_text(tokens), encoder.encode(['a photo of a star.', 'dots']))


def test_committed_checkpoint_loads_and_is_small(project: SimpleNamespace) -> None:
    path = PROJECT / 'shapes_clip.pt'
    assert path.stat().st_size <= 16 * 2 ** 20
    tower = EVACLIPViT(project.model.ARCH, frozen_stages=6)
    load_clip_checkpoint(tower, path)
    encoder = CLIPTextEncoder(project.model.TEXT_ARCH, path)
    images, labels = project.pool.held_out(2)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (project.model.CLIP_MEAN, project.model.CLIP_STD))
    text = encoder.encode([f'a photo of a {name}.' for name in CLASS_NAMES])
    named = (tower.encode_image((images / 255 - mean) / std, normalize=True) @ text.t()).argmax(1)
    assert (named == labels).float().mean() > 0.9
