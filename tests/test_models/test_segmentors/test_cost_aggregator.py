import pytest
import torch

from rsc_mm.utils.checkpoint import CheckpointError

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from rsc_mm.models.segmentors import CostAggregator, convert_catseg_aggregator  # noqa: E402

from .slow_aggregator import slow_logits  # noqa: E402

SIZES = dict(text_dim=16, text_proj_dim=32, appearance_dim=16, appearance_proj_dim=32, decoder_dims=(32, 16),
             decoder_guidance_dims=(24, 12), decoder_guidance_proj_dims=(16, 8), num_layers=2, num_heads=4,
             hidden_dim=32, pooling_size=(1, 1), feature_resolution=(12, 12), window_size=6, prompt_channel=1,
             pad_len=16)


@pytest.fixture(scope='module')
def aggregator(official) -> CostAggregator:
    model = CostAggregator(**SIZES)
    model.load_state_dict(convert_catseg_aggregator(official))
    return model.eval()


def inputs(classes: int, grid: tuple[int, int] = (12, 12), batch: int = 2, prompts: int = 1) -> tuple:
    generator = torch.Generator().manual_seed(classes)
    h, w = grid

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=generator)

    image = draw(16, h, w)
    return image, draw(classes, prompts, 16), [image, draw(24, 2 * h, 2 * w), draw(12, 4 * h, 4 * w)]


@pytest.mark.parametrize('name', ['T5', 'T16'])
@torch.no_grad()
def test_agrees_with_the_public_aggregator(golden, aggregator, name):
    image, text, finer1, finer2, logits = (golden[f'io/{name}_{key}']
                                           for key in ('image', 'text', 'guide1', 'guide2', 'logits'))
    assert len(image) == 2
    torch.testing.assert_close(aggregator(image, text, [image, finer1, finer2]), logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('classes', 'grid'), [(18, (7, 8)), (3, (4, 9))])
@torch.no_grad()
def test_agrees_with_a_slow_version(aggregator, classes, grid):
    """More classes than pad_len; grids that windows do not tile; a grid narrower than a window."""
    image, text, guidance = inputs(classes, grid)
    logits = aggregator(image, text, guidance)
    torch.testing.assert_close(logits, slow_logits(aggregator, image, text, guidance), rtol=0, atol=2e-5)
    dropped = (logits == -100).all(dim=(2, 3)).sum(dim=1)
    assert dropped.tolist() == [max(classes - 16, 0)] * 2


@torch.no_grad()
def test_every_image_has_its_own_top_classes(aggregator):
    image, text, guidance = inputs(21, (6, 6))
    kept = (aggregator(image, text, guidance) > -100).all(dim=(2, 3))
    assert not torch.equal(kept[0], kept[1])


@pytest.mark.parametrize('classes', [5, 21])
@torch.no_grad()
def test_permuted_classes_give_permuted_logits(aggregator, classes):
    image, text, guidance = inputs(classes, (6, 6))
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(aggregator(image, text[:, order], guidance),
                               aggregator(image, text, guidance)[:, order], rtol=0, atol=1e-5)


@pytest.mark.parametrize('classes', [5, 21])
@torch.no_grad()
def test_an_image_alone_gives_what_it_gives_in_a_batch(aggregator, classes):
    """mmseg's own CAT-Seg repeats its guidance class-major against a batch-major cost and fails this."""
    image, text, guidance = inputs(classes, (6, 6))
    batched = aggregator(image, text, guidance)
    for i in range(2):
        alone = aggregator(image[i:i + 1], text[i:i + 1], [g[i:i + 1] for g in guidance])
        torch.testing.assert_close(alone[0], batched[i], rtol=0, atol=1e-5)


@pytest.mark.parametrize('chunk_size', [4, 100])
@pytest.mark.parametrize('classes', [5, 21])
@torch.no_grad()
def test_chunked_equals_unchunked(aggregator, classes, chunk_size):
    image, text, guidance = inputs(classes, (7, 8))
    torch.testing.assert_close(aggregator(image, text, guidance, chunk_size=chunk_size),
                               aggregator(image, text, guidance), rtol=0, atol=1e-5)


@torch.no_grad()
def test_no_padding_length_takes_every_class():
    torch.manual_seed(0)
    model = CostAggregator(**{**SIZES, 'pad_len': 0, 'prompt_channel': 3})
    image, text, guidance = inputs(21, (6, 6), prompts=3)
    logits = model(image, text, guidance)
    assert logits.shape == (2, 21, 24, 24) and logits.min() > -100
    assert not [key for key in model.state_dict() if 'padding' in key]


def test_pooling_and_bfloat16_train():
    torch.manual_seed(0)
    model = CostAggregator(**{**SIZES, 'pooling_size': (2, 2)})
    image, text, guidance = inputs(5)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logits = model(image, text, guidance)
    logits.float().square().mean().backward()
    assert logits.shape == (2, 5, 48, 48)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    model.eval()
    with torch.no_grad():
        full = model(image, text, guidance)
        assert (full - logits.float()).abs().max() < 0.1 * full.abs().max()
        assert (model(image, text, guidance, pooling_size=1) - full).abs().max() > 1e-3


@torch.no_grad()
def test_a_model_of_another_precision(official, aggregator):
    image, text, guidance = inputs(21, (7, 8))
    expected = aggregator(image, text, guidance)
    for dtype, limit in ((torch.float64, 1e-5), (torch.bfloat16, 0.1)):
        model = CostAggregator(**SIZES)
        model.load_state_dict(convert_catseg_aggregator(official))
        logits = model.to(dtype)(image.to(dtype), text.to(dtype), [g.to(dtype) for g in guidance])
        assert logits.dtype == dtype
        both = (logits > -100) & (expected > -100)  # of nearly equal cosines another may be the best
        assert both.sum() >= 0.9 * (expected > -100).sum()
        assert (logits.float() - expected)[both].abs().max() < limit * expected[both].abs().max()


def test_official_weights_that_are_none_are_refused():
    with pytest.raises(CheckpointError, match=r"found the keys \['a.weight'\] .* expected 'conv1.weight'"):
        convert_catseg_aggregator({'a.weight': torch.zeros(1)})


def test_the_whole_model_s_prefix_is_read(official):
    prefixed = {f'sem_seg_head.predictor.transformer.{key}': value for key, value in official.items()}
    whole = convert_catseg_aggregator({**prefixed, 'upsample1.weight': torch.zeros(1)})
    assert whole.keys() == convert_catseg_aggregator(official).keys()


def test_fields_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="field 'hidden_dim': found 30, expected a multiple of 'num_heads', 4"):
        CostAggregator(**{**SIZES, 'hidden_dim': 30})
    with pytest.raises(ValueError, match="fields 'decoder_dims' and 'decoder_guidance_proj_dims': found a step of 32"):
        CostAggregator(**{**SIZES, 'decoder_dims': (40, 16)})
