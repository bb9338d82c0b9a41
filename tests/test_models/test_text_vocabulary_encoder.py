import open_clip
import pytest
import torch

from rsc_mm.models.text import CLIPTextEncoder, VocabularyEncoder
from rsc_mm.models.text.split_attention import split_text_attention

FIELDS = dict(embed_dim=8, context_length=20, width=16, heads=2, layers=2)


def clip_weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    vision = dict(image_size=16, patch_size=8, width=16, layers=1, head_width=8)
    text = {key: value for key, value in FIELDS.items() if key != 'embed_dim'}
    return open_clip.CustomTextCLIP(8, vision, {**text, 'vocab_size': 49408}).eval().state_dict()


def encoder(**fields: object) -> VocabularyEncoder:
    built = VocabularyEncoder(**{**dict(classes=['cat', 'sofa, couch'], arch=FIELDS), **fields})
    built.init_cfg = dict(type='Pretrained', checkpoint=clip_weights())
    built.init_weights()
    return built.eval()


def test_features_are_those_of_the_frozen_encoder_by_class_and_prompt():
    frozen = CLIPTextEncoder(FIELDS, clip_weights())
    features = encoder(prompts=['a {}.', 'the {}.'])()
    texts = ['a cat.', 'the cat.', 'a sofa.', 'the sofa.']
    torch.testing.assert_close(features, frozen(texts).reshape(2, 2, 8), atol=1e-6, rtol=1e-6)
    whole = encoder(prompts=['a {}.'], synonyms=None)()
    torch.testing.assert_close(whole[1, 0], frozen(['a sofa, couch.'])[0], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(encoder()()[0, 0], frozen(['A photo of a cat in the scene'])[0], atol=1e-6, rtol=1e-6)


def test_splitting_the_attention_changes_no_output_and_reads_both_layouts():
    text = CLIPTextEncoder(FIELDS, clip_weights())
    expected = text(['a cat', 'a very large dog'])
    split_text_attention(text.tower)
    torch.testing.assert_close(text(['a cat', 'a very large dog']), expected, atol=1e-6, rtol=1e-6)
    names = {name for name, _ in text.tower.named_parameters() if '.attn.' in name}
    assert len(names) == 2 * 8 and 'transformer.resblocks.1.attn.v.weight' in names
    again = CLIPTextEncoder(FIELDS, None)
    split_text_attention(again.tower)
    again.load_state_dict(text.state_dict())
    torch.testing.assert_close(again(['a cat']), expected[:1], atol=1e-6, rtol=1e-6)


def test_features_are_kept_until_something_they_depend_on_changes(monkeypatch):
    built, calls = encoder(), []
    inner = built.text_encoder.encode
    monkeypatch.setattr(built.text_encoder, 'encode', lambda texts: calls.append(texts) or inner(texts))
    first = built()
    assert built() is first and len(calls) == 1
    built.set_vocabulary(['dog', 'sea', 'sky'])
    assert built().shape == (3, 1, 8) and len(calls) == 2
    built.load_state_dict(built.state_dict())
    built()
    built.train().eval()
    built()
    assert len(calls) == 4


def test_a_training_tower_encodes_with_gradient_and_other_classes():
    built = encoder(test_classes=['dog', 'sea', 'sky'])
    built.tower.transformer.resblocks[0].attn.v.weight.requires_grad_(True)
    assert built.classes == ('dog', 'sea', 'sky')
    built.train()
    features = built()
    assert features.shape == (2, 1, 8) and built.classes == ('cat', 'sofa, couch')
    features.square().sum().backward()
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2, 1))
    features = built()
    features[..., 0].sum().backward()
    grads = {name for name, p in built.named_parameters() if p.grad is not None}
    assert grads == {'text_encoder.tower.transformer.resblocks.0.attn.v.weight'}
    with torch.no_grad():
        assert not built().requires_grad


def test_a_class_of_test_may_have_several_texts():
    built = encoder(prompts=['a {}.'], test_classes=['dog; puppy, whelp', 'background'],
                    aliases=dict(background='sky; sea'))
    assert built.classes == ('dog', 'background') and built.counts == [2, 2]
    frozen = CLIPTextEncoder(FIELDS, clip_weights())
    torch.testing.assert_close(built()[:, 0], frozen(['a dog.', 'a puppy.', 'a sky.', 'a sea.']), atol=1e-6, rtol=1e-6)
    assert built.train().counts == [1, 1] and built.classes == ('cat', 'sofa, couch')
    built = encoder(prompts=['a {}.'], classes=['cat; kitten', 'dog']).train()
    assert built.classes == ('cat', 'dog') and built.counts == [2, 1] and built().shape == (3, 1, 8)


def test_bad_classes_are_named():
    with pytest.raises(ValueError, match=r"classes: found \['cat'\] twice, expected every name once"):
        encoder(classes=['cat', 'dog', 'cat'])
    with pytest.raises(ValueError, match=r"class names in the given names: found \[''\]"):
        encoder().set_vocabulary([''])
