import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models.text import CLIPTextEncoder, VocabularyEncoder, class_embeddings
from rsc_mm.models.text.text_tower import text_fields, tokenize
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import CheckpointError

TEXT = {'context_length': 20, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 2}
ARCH = {**TEXT, 'embed_dim': 8}
VISION = {'image_size': 16, 'patch_size': 8, 'width': 16, 'layers': 1, 'head_width': 8}
TEXTS = ['a photo of a dog.', 'dog', 'There is a very small and rather old red car in the scene.', 'Café au lait']


def whole_clip(model: type = open_clip.CustomTextCLIP, quick_gelu: bool = False) -> torch.nn.Module:
    torch.manual_seed(0)
    return model(8, dict(VISION), dict(TEXT), quick_gelu=quick_gelu).eval()


def expected(clip: torch.nn.Module, texts: list[str] = TEXTS) -> torch.Tensor:
    with torch.no_grad():
        return clip.encode_text(open_clip.tokenize(texts, context_length=TEXT['context_length']))


def test_encode_equals_open_clip_on_the_whole_context() -> None:
    clip = whole_clip()
    encoder = CLIPTextEncoder(ARCH, clip.state_dict(), batch_size=2)
    torch.testing.assert_close(encoder.encode(TEXTS, normalize=False), expected(clip), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(encoder(TEXTS), F.normalize(expected(clip), dim=1), atol=1e-6, rtol=1e-6)


def test_quick_gelu_equals_open_clip_and_differs_from_gelu() -> None:
    clip = whole_clip(quick_gelu=True)
    quick = CLIPTextEncoder({**ARCH, 'quick_gelu': True}, clip.state_dict()).encode(TEXTS, normalize=False)
    torch.testing.assert_close(quick, expected(clip), atol=1e-6, rtol=1e-6)
    assert (CLIPTextEncoder(ARCH, clip.state_dict()).encode(TEXTS, normalize=False) - quick).abs().max() > 1e-4


def layouts() -> dict[str, dict]:
    custom, flat = whole_clip().state_dict(), whole_clip(open_clip.CLIP).state_dict()
    text = {key.removeprefix('text.'): value for key, value in custom.items() if key.startswith('text.')}
    # What EVA-CLIP's files hold beside it: the vision tower under other names and caches of its rotary embedding.
    eva = {**{f'text.{key}': value for key, value in text.items()}, 'logit_scale': torch.ones(()),
           'visual.rope.freqs_cos': torch.ones(4, 8), 'visual.cls_token': torch.ones(1, 1, 16)}
    return {'open_clip': custom, 'eva': eva, 'eva in deepspeed': {'module': eva, 'ds_version': '0.6'},
            'ddp': {'state_dict': {f'module.{key}': value for key, value in eva.items()}, 'epoch': 3},
            'tower alone': text, 'half': {key: value.half() for key, value in text.items()},
            'ours': CLIPTextEncoder(ARCH, custom).state_dict(),
            'with mask': {**eva, 'text.attn_mask': torch.zeros(20, 20)}, 'openai': flat}


@pytest.mark.parametrize('name', ['open_clip', 'eva', 'eva in deepspeed', 'ddp', 'tower alone', 'half', 'ours',
                                  'with mask', 'openai'])
def test_every_layout_gives_the_same_embeddings(name: str) -> None:
    state_dict = layouts()[name]
    clip = whole_clip(open_clip.CLIP) if name == 'openai' else whole_clip()
    encoder = CLIPTextEncoder(ARCH, state_dict)
    tolerance = 5e-3 if name == 'half' else 1e-6
    torch.testing.assert_close(encoder.encode(TEXTS, normalize=False), expected(clip), atol=tolerance, rtol=1e-6)
    assert all(parameter.dtype == torch.float32 for parameter in encoder.parameters())


def test_files_load_like_state_dicts(tmp_path: pytest.TempPathFactory) -> None:
    clip = whole_clip()
    torch.save({'state_dict': clip.state_dict()}, tmp_path / 'clip.pt')
    encoder = MODELS.build({'type': 'CLIPTextEncoder', 'arch': ARCH, 'checkpoint': str(tmp_path / 'clip.pt')})
    torch.testing.assert_close(encoder.encode(TEXTS, normalize=False), expected(clip), atol=1e-6, rtol=1e-6)


def test_missing_unknown_and_misshaped_keys_are_all_named() -> None:
    state_dict = dict(whole_clip().state_dict())
    del state_dict['text.ln_final.bias']
    state_dict['text.stranger'] = torch.ones(1)
    state_dict['text.text_projection'] = torch.ones(16, 9)
    with pytest.raises(CheckpointError) as info:
        CLIPTextEncoder(ARCH, state_dict)
    for part in ('ln_final.bias', 'stranger', 'text_projection', "'width': 16", "'arch'"):
        assert part in str(info.value)


def test_a_vision_file_is_refused() -> None:
    vision = {key: value for key, value in whole_clip().state_dict().items() if key.startswith('visual.')}
    with pytest.raises(CheckpointError, match=r'no text tower.*text\.token_embedding\.weight.*original CLIP file'):
        CLIPTextEncoder(ARCH, vision)


def test_openai_archives_need_quick_gelu() -> None:
    archive = {**whole_clip(open_clip.CLIP).state_dict(), 'input_resolution': torch.tensor(16)}
    with pytest.raises(CheckpointError, match=r'QuickGELU.*-quickgelu'):
        CLIPTextEncoder(ARCH, archive)
    CLIPTextEncoder({**ARCH, 'quick_gelu': True}, archive)


@pytest.mark.parametrize(('arch', 'tag'), [('ViT-B-16', 'openai'), ('ViT-B-16-quickgelu', 'laion2b_s34b_b88k')])
def test_open_clip_tags_know_their_activation(arch: str, tag: str, no_network: None) -> None:
    with pytest.raises(CheckpointError, match='QuickGELU'):
        CLIPTextEncoder(arch, f'open_clip::ViT-B-16/{tag}')


@pytest.mark.parametrize('arch', ['EVA02-B-17', 'coca_ViT-B-32', 'roberta-ViT-B-32', {'width': 64},
                                  {**ARCH, 'pool_type': 'last'}, {**ARCH, 'vocab_size': 100},
                                  {**ARCH, 'hf_tokenizer_name': 'toy', 'pool_type': 'first'}])
def test_bad_arch(arch: str | dict) -> None:
    with pytest.raises(ValueError, match=r"CLIPTextEncoder field 'arch': found"):
        CLIPTextEncoder(arch, None)


def test_named_archs_have_open_clips_fields() -> None:
    large = text_fields('EVA02-L-14-336')
    assert (large['width'], large['heads'], large['layers'], large['embed_dim']) == (768, 12, 12, 768)
    assert text_fields('ViT-B-16-quickgelu')['quick_gelu'] and not text_fields('EVA02-B-16')['quick_gelu']


def test_the_tower_is_frozen() -> None:
    encoder = CLIPTextEncoder(ARCH, None).train()
    assert not encoder.training and not encoder.tower.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.encode(TEXTS).requires_grad


def test_embeddings_do_not_depend_on_company_order_or_autocast() -> None:
    encoder = CLIPTextEncoder(ARCH, None, batch_size=3)
    together = encoder.encode(TEXTS)
    alone = torch.cat([encoder.encode([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(encoder.encode(TEXTS[::-1]).flip(0), alone, atol=1e-6, rtol=0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(encoder.encode(TEXTS), together)


def test_a_long_text_is_named_not_cut() -> None:
    exact = 'dog ' * 18  # 18 tokens, start and end: the context of 20
    assert tokenize([exact], 20)[0, -1] == 49407
    with pytest.raises(ValueError, match=r'dog dog.*more than 20 tokens.*1 such'):
        CLIPTextEncoder(ARCH, None).encode(['cat', exact + 'dog'])


@pytest.mark.parametrize('texts', [[], 'dog'])
def test_texts_must_be_a_list(texts: list | str) -> None:
    with pytest.raises(ValueError, match='expected a list'):
        CLIPTextEncoder(ARCH, None).encode(texts)


def test_no_network_is_used(no_network: None) -> None:
    CLIPTextEncoder(ARCH, whole_clip().state_dict()).encode(TEXTS)


SIGLIP = {**TEXT, 'vocab_size': 300, 'no_causal_mask': True, 'pool_type': 'last', 'proj_bias': True,
          'norm_kwargs': {'eps': 1e-6}, 'act_kwargs': {'approximate': 'tanh'}, 'hf_tokenizer_name': 'toy',
          'tokenizer_kwargs': {'clean': 'canonicalize'}}


def siglip_clip() -> torch.nn.Module:
    torch.manual_seed(0)
    clip = open_clip.CustomTextCLIP(8, dict(VISION), dict(SIGLIP)).eval()
    torch.nn.init.normal_(clip.text.text_projection.bias)
    return clip


class ToyTokenizer:
    """Bytes as tokens, an end token, padding by the end token: what open_clip's `HFTokenizer` asks of transformers."""

    @classmethod
    def from_pretrained(cls, name: str, cache_dir: None = None) -> 'ToyTokenizer':
        if name != 'toy':
            raise OSError(f'no connection to read {name}')
        return cls()

    def __call__(self, texts: list[str], padding: str, max_length: int, truncation: bool,
                 return_tensors: str | None = None) -> SimpleNamespace:
        rows = [[*text.encode(), 256] for text in texts]
        rows = [[*row[:max_length - 1], 256] if truncation else row for row in rows]
        rows = [row + [256] * (max_length - len(row)) for row in rows]
        return SimpleNamespace(input_ids=torch.tensor(rows) if return_tensors else rows)


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'transformers', SimpleNamespace(AutoTokenizer=ToyTokenizer))


def test_siglip_equals_open_clip(transformers: None) -> None:
    """No mask, the last position, a bias; tokens of the whole context in every batch; open_clip's own cleaning."""
    clip, texts = siglip_clip(), ['A small_dog.', 'dog', 'two dogs, a cat']
    encoder = CLIPTextEncoder({**SIGLIP, 'embed_dim': 8}, clip.state_dict(), batch_size=2)
    tokens = open_clip.tokenizer.HFTokenizer('toy', TEXT['context_length'], clean='canonicalize')(texts)
    assert torch.equal(encoder.tokenize(texts, TEXT['context_length']), tokens)
    with torch.no_grad():
        theirs = clip.encode_text(tokens)
    torch.testing.assert_close(encoder.encode(texts, normalize=False), theirs, atol=1e-5, rtol=0)


def test_siglip_gives_class_embeddings_and_trains_in_a_vocabulary(transformers: None, tmp_path: Path) -> None:
    """Cached by all fields; with query, key and value apart the features are the same (CAT-Seg)."""
    arch, weights, names = {**SIGLIP, 'embed_dim': 8}, siglip_clip().state_dict(), ['dog', 'red car']
    encoder = CLIPTextEncoder(arch, weights)
    embeddings = class_embeddings(names, encoder, ['a {}'], tmp_path)
    assert torch.equal(class_embeddings(names, encoder, ['a {}'], tmp_path), embeddings)
    assert len(list(tmp_path.iterdir())) == 1
    vocabulary = VocabularyEncoder(names, arch, ['a {}'], init_cfg=dict(type='Pretrained', checkpoint=weights))
    vocabulary.init_weights()
    torch.testing.assert_close(vocabulary()[:, 0], embeddings, atol=1e-5, rtol=0)


@pytest.mark.parametrize('name', ['ViT-B-16-SigLIP', 'PE-Core-B-16'])
def test_named_towers_equal_open_clip_on_tokens(name: str) -> None:
    """The named configuration with two of its layers."""
    config = open_clip.get_model_config(name)
    text = {**config['text_cfg'], 'layers': 2}
    clip = open_clip.CustomTextCLIP(config['embed_dim'], dict(VISION), dict(text)).eval()
    assert text_fields(name) == {**config['text_cfg'], 'embed_dim': config['embed_dim'], 'quick_gelu': False}
    encoder = CLIPTextEncoder({**text_fields(name), 'layers': 2}, clip.state_dict())
    tokens = open_clip.tokenize(TEXTS, text['context_length']).clamp(max=text['vocab_size'] - 1)
    encoder.tokenize = lambda texts, length: tokens
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode(TEXTS, normalize=False), clip.encode_text(tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize('name', ['ViT-B-16-SigLIP2', 'ViT-SO400M-14-SigLIP2', 'ViT-gopt-16-SigLIP2-256',
                                  'PE-Core-L-14-336'])
def test_named_towers_build(name: str) -> None:
    with torch.device('meta'):
        encoder = CLIPTextEncoder(name, None)
    assert encoder.embed_dim == open_clip.get_model_config(name)['embed_dim']


@pytest.mark.parametrize('installed', [True, False])
def test_without_its_tokenizer_a_tower_names_the_way_out(installed: bool, transformers: None,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, 'transformers', None)
    arch = {**SIGLIP, 'embed_dim': 8, 'hf_tokenizer_name': 'timm/ViT-B-16-SigLIP2'}
    encoder = CLIPTextEncoder(arch, None)
    with pytest.raises(OSError, match=r"no tokenizer 'timm/ViT-B-16-SigLIP2'.*transformers.*dump_text_embeddings\.py"):
        encoder.encode(['dog'])


def test_a_long_text_of_a_hub_tokenizer_is_named_not_cut(transformers: None) -> None:
    encoder = CLIPTextEncoder({**SIGLIP, 'embed_dim': 8}, None)
    encoder.encode(['x' * 19])  # and the end token: the context of 20
    with pytest.raises(ValueError, match=re.escape(f"text '{'x' * 20}': found more than 20 tokens")):
        encoder.encode(['dog', 'x' * 20])
    with pytest.raises(ValueError, match='expected a list'):
        encoder.encode('dog')


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError('network')
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
