"""Unsupervised segmentation: codebook, heads, contrast and bank against slow versions and values by hand."""
import math

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')

from .cause_toy import cause  # noqa: E402, I001
from cause.codebook import Codebook  # noqa: E402
from cause.concept_bank import ConceptBank  # noqa: E402
from cause.contrast import contrast, thin  # noqa: E402
from cause.heads import SegmentHead  # noqa: E402
from cause.modularity import modularity_loss, strongest_agreement  # noqa: E402


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return F.cosine_similarity(a, b, 0).item()


def slow_modularity(tokens: torch.Tensor, codes: torch.Tensor) -> float:
    """The loss of one image pair by pair, with the maximum of the tanh as in the public code."""
    n = len(tokens)
    affinity = [[max(cosine(tokens[i], tokens[j]), 0.) if i != j else 0. for j in range(n)] for i in range(n)]
    degree = [sum(row) for row in affinity]
    total = sum(degree)
    found = 0.
    for i in range(n):
        for j in range(n):
            agreements = [max(cosine(tokens[i], c), 0.) * max(cosine(tokens[j], c), 0.) for c in codes]
            found += (affinity[i][j] - degree[i] * degree[j] / total) * max(math.tanh(x / 0.1) for x in agreements)
    return -found / total


class TestModularity:

    def test_it_is_the_slow_one(self):
        tokens, codes = randn(2, 6, 4), randn(20, 4, seed=1)  # more codes than are compared at once
        found = modularity_loss(tokens, codes)
        assert found.tolist() == pytest.approx([slow_modularity(image, codes) for image in tokens], rel=1e-4)

    def test_two_communities_by_hand(self):
        # Tokens 0, 1 are alike, so are 2, 3: A has four entries 1, d = 1, e = 4, W = A - 1/4. With both codes right,
        # delta is tanh(10) within a community and 0 between: W over the 8 pairs within sums to 4 - 8/4 = 2.
        tokens = torch.tensor([[[1., 0], [2, 0], [0, 1], [0, 3]]])
        right = modularity_loss(tokens, torch.eye(2)).item()
        assert right == pytest.approx(-2 / 4 * math.tanh(10), rel=1e-6)
        one_code = modularity_loss(tokens, torch.tensor([[1., 1]])).item()  # everything is one community: W sums to 0
        assert one_code == pytest.approx(0, abs=1e-6) and right < one_code

    def test_gradient_is_of_the_codes_alone(self):
        tokens, codes = randn(1, 5, 3).double().requires_grad_(), randn(4, 3, seed=1).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda c: modularity_loss(tokens, c), codes)
        modularity_loss(tokens, codes).sum().backward()
        assert tokens.grad is None and codes.grad.any()

    def test_an_image_without_like_tokens_is_zero(self):
        codes = randn(3, 4).requires_grad_()
        loss = modularity_loss(torch.eye(4)[None], codes)
        loss.sum().backward()
        assert loss.item() == 0 and not codes.grad.any()

    def test_it_is_float32_under_autocast(self):
        with torch.autocast('cpu', torch.bfloat16):
            found = modularity_loss(randn(1, 5, 4).bfloat16(), randn(3, 4).bfloat16())
        assert found.dtype == torch.float and found.isfinite().all()

    def test_strongest_agreement_and_its_gradient(self):
        fast, slow = (randn(2, 5, 37).relu().requires_grad_() for _ in range(2))
        (expected := (slow[:, :, None] * slow[:, None]).amax(3)).square().sum().backward()
        (found := strongest_agreement(fast)).square().sum().backward()
        assert torch.equal(found, expected)
        reached = expected.detach() > 0  # where all products are 0, torch shares the gradient among them
        assert reached.any() and torch.allclose(fast.grad, slow.grad, atol=1e-6)

    def test_training_a_codebook_finds_planted_communities(self):
        torch.manual_seed(0)
        centres = torch.eye(3, 4)
        tokens = (centres.repeat_interleave(8, 0) + 0.05 * randn(24, 4, seed=1))[None]
        book = Codebook(8, 4)
        optimizer = torch.optim.Adam(book.parameters(), 0.02)
        for _ in range(60):
            optimizer.zero_grad()
            loss = book.loss(tokens)
            loss.backward()
            optimizer.step()
        best = modularity_loss(tokens, centres).item()
        assert loss.item() < 0.9 * best < 0


class TestCodebook:

    def test_nearest_is_by_cosine(self):
        book = Codebook(2, 2)
        book.weight.data = torch.tensor([[9., 0], [0.1, 0.1]])
        assert book.nearest(torch.tensor([[[1., 0.9], [1, 0]]])).tolist() == [[1, 0]]
        assert book(torch.tensor([[3., 0]])).tolist()[0] == pytest.approx([1, math.sqrt(0.5)])

    def test_start_and_bad_size(self):
        assert Codebook(4, 1000).weight.abs().max() <= 1 / 4
        with pytest.raises(ValueError, match=r'Codebook\.num_codes: found 0, expected at least 1'):
            Codebook(0, 4)


class TestHeads:

    def test_sizes_are_those_of_the_public_code(self):
        with torch.device('meta'):
            parts = [cause.TransformerHead(768, 529), cause.MLPHead(768),
                     SegmentHead(cause.MLPHead(768), 2048).projection]
        assert [sum(p.numel() for p in part.parameters()) for part in parts] == [9_013_172, 729_012, 186_368]

    def test_another_grid_is_refused(self):
        with pytest.raises(ValueError, match=r"field 'num_tokens': found 9, expected 16, the tokens of an image"):
            cause.TransformerHead(4, 9)(torch.zeros(1, 16, 4), torch.zeros(1, 16, 4))

    def test_the_tokens_are_added_before_the_reduction(self):
        head = cause.TransformerHead(4, 3, 2, 5).eval()
        for name, parameter in head.named_parameters():  # the last norm gives its bias, so that x does not matter
            parameter.data.zero_() if name == 'norms.2.weight' else None
        head.norms[2].bias.data = torch.arange(4.)
        tokens = randn(1, 3, 4)
        assert torch.allclose(head(tokens, randn(1, 3, 4, seed=1)), head.reduce(tokens + torch.arange(4.)), atol=1e-6)

    def test_both_paths_of_the_reduction_by_hand(self):
        head = cause.MLPHead(1, 1).eval()
        for parameter, value in zip(head.parameters(), (2., 1., -3., 1., 10., 100.)):
            parameter.data.fill_(value)
        # 2 x + 1 + 10 relu(-3 x + 1) + 100
        assert head(torch.tensor([[[-1.], [1.]]])).flatten().tolist() == [-1 + 10 * 4 + 100, 3 + 100]

    def test_position_and_concepts_matter(self):
        head, tokens, concepts = cause.TransformerHead(4, 3, 2, 5).eval(), randn(1, 3, 4), randn(1, 3, 4, seed=1)
        first = head(tokens, concepts)
        assert not torch.allclose(first, head(tokens, concepts.flip(1)))
        head.position.data += randn(3, 4, seed=2)
        assert not torch.allclose(first, head(tokens, concepts))


def slow_contrast(anchors: torch.Tensor, keys: torch.Tensor, likeness: torch.Tensor, own: list[int]) -> float:
    """The loss of one image, pair by pair."""
    values = []
    for i in range(len(anchors)):
        s = [cosine(anchors[i], key) / 0.07 for key in keys]
        positive = [j for j in range(len(keys)) if likeness[i][j] > 0.3 and j != own[i]]
        negative = [j for j in range(len(keys)) if likeness[i][j] < 0.1 and j != own[i]]
        total = math.log(sum(math.exp(s[k]) for k in positive + negative)) if positive else 0
        values += [total - s[j] for j in positive]
    return sum(values) / len(values)


class TestContrast:

    def test_it_is_the_slow_one(self):
        anchors, keys = F.normalize(randn(2, 3, 4), dim=2), F.normalize(randn(6, 4, seed=1), dim=1)
        likeness, own = randn(2, 3, 6, seed=2), torch.arange(6).view(2, 3)
        found = contrast(anchors, keys, likeness, own)
        expected = [slow_contrast(anchors[b], keys, likeness[b], own[b].tolist()) for b in range(2)]
        assert found.tolist() == pytest.approx(expected, rel=1e-4)

    def test_by_hand(self):
        # Key 0 is the anchor itself, 1 positive, 2 negative, 3 between: only 1 and 2 count.
        anchors, keys = torch.tensor([[[1., 0]]]), torch.tensor([[1., 0], [1, 0], [0, 1], [-1, 0]])
        found = contrast(anchors, keys, torch.tensor([[[1., 0.5, 0., 0.2]]]), torch.tensor([[0]]), temperature=0.5)
        assert found.item() == pytest.approx(math.log(math.exp(2) + 1) - 2)

    def test_no_positives_give_no_term_and_no_nan(self):
        anchors = randn(2, 3, 4).requires_grad_()
        likeness = torch.full((2, 3, 5), 0.2)
        likeness[1] = 0.9
        found = contrast(anchors, randn(5, 4, seed=1), likeness)
        assert found.shape == (1, ) and found.isfinite().all()
        found = contrast(anchors, randn(5, 4, seed=1), torch.zeros(2, 3, 5))
        found.sum().backward()
        assert found.shape == (0, ) and not anchors.grad.any()

    def test_an_empty_bank_gives_no_term(self):
        assert contrast(randn(2, 3, 4), torch.zeros(0, 4), torch.zeros(2, 3, 0)).shape == (0, )

    def test_gradient(self):
        anchors = randn(2, 2, 3).double().requires_grad_()
        fields = randn(4, 3, seed=1).double(), randn(2, 2, 4, seed=2).double()
        assert torch.autograd.gradcheck(lambda z: contrast(z, *fields, temperature=0.5), anchors)


class TestThin:

    def test_one_of_each_cell_and_the_rest_is_left_out(self):
        places = thin((23, 10), 4, seed=0)
        assert len(places) == 5 * 2
        for i, place in enumerate(places.tolist()):
            assert (place // 10 // 4, place % 10 // 4) == divmod(i, 2)
        assert torch.equal(places, thin((23, 10), 4, 0)) and not torch.equal(places, thin((23, 10), 4, 1))
        assert thin((2, 2), 1, 0).tolist() == [0, 1, 2, 3]

    def test_every_place_of_a_cell_is_drawn(self):
        assert {int(thin((2, 2), 2, seed)) for seed in range(40)} == {0, 1, 2, 3}

    def test_a_cell_larger_than_the_grid_is_refused(self):
        with pytest.raises(ValueError, match=r"field 'cell': found 4, expected at most the grid's 3"):
            thin((3, 8), 4, 0)


class TestBank:

    def test_a_random_half_of_each_concept_is_kept(self):
        bank = ConceptBank(3, 10, 1)
        bank.add(torch.arange(9.)[:, None], torch.tensor([0, 0, 0, 0, 0, 0, 2, 2, 2]), seed=0)
        features, codes = bank.content()
        assert codes.tolist() == [0, 0, 0, 2, 2]  # 3 of 6, and 2 of 3: rounded up
        assert set(features[:3, 0].tolist()) < set(range(6)) and set(features[3:, 0].tolist()) < {6, 7, 8}

    def test_the_newest_stay(self):
        bank = ConceptBank(2, 3, 1)
        for step in range(5):
            bank.add(torch.tensor([[float(step)]]), torch.tensor([1]), seed=step)
        features, codes = bank.content()
        assert sorted(features[:, 0].tolist()) == [2, 3, 4] and codes.tolist() == [1, 1, 1]

    def test_more_than_the_size_at_once(self):
        bank = ConceptBank(1, 3, 1)
        bank.add(torch.arange(20.)[:, None], torch.zeros(20, dtype=torch.long), seed=0)
        features, _ = bank.content()
        assert len(set(features[:, 0].tolist())) == 3

    def test_it_is_in_the_state(self):
        first, second = ConceptBank(2, 3, 1), ConceptBank(2, 3, 1)
        first.add(torch.ones(2, 1), torch.tensor([0, 1]), seed=0)
        second.load_state_dict(first.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(first.content(), second.content()))
