import socket

import open_clip
import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models.text import CLIPTextEncoder
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


@pytest.mark.parametrize('arch', ['EVA02-B-17', 'ViT-B-16-SigLIP', 'coca_ViT-B-32', {'width': 64},
                                  {**ARCH, 'pool_type': 'last'}, {**ARCH, 'vocab_size': 100}])
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


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError('network')
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
