"""The prompt sets: how a class name becomes texts."""
import re
from collections.abc import Sequence

from open_clip import OPENAI_IMAGENET_TEMPLATES

_QUALITIES = ('good', 'bad', 'bright', 'dark', 'low resolution', 'cropped', 'close-up', 'jpeg corrupted', 'blurry',
              'pixelated', 'black and white')
_LOOKS = ('nice', 'cool', 'weird', 'small', 'large', 'clean', 'dirty', 'hard to see')
_KINDS = ('plastic', 'toy', 'plushie', 'cartoon')


def _vild() -> tuple[str, ...]:
    """ViLD's 63 templates (Gu et al., 2022, appendix) by their pattern; their mean does not depend on the order."""
    templates = ['There is {article} {} in the scene.', 'There is the {} in the scene.']
    templates += [f'a photo of {word} {{}} in the scene.' for word in ('{article}', 'the', 'one')]
    templates += [f'itap of {word} {{}}.' for word in ('{article}', 'my', 'the')]  # itap: I took a picture
    templates += [f'a photo of {word} {{}}.' for word in ('{article}', 'my', 'the', 'one', 'many')]
    templates += [f'a {quality} photo of {word} {{}}.' for quality in _QUALITIES for word in ('{article}', 'the')]
    templates += [f'a photo of {word} {look} {{}}.' for look in _LOOKS for word in ('a', 'the')]
    templates += [f'{word} {kind} {{}}.' for kind in _KINDS for word in ('a', 'the')]
    templates += ['an embroidered {}.', 'the embroidered {}.', 'a painting of the {}.', 'a painting of a {}.']
    # ViLD's rule: a text that starts with "a" or "the" becomes a sentence.
    return tuple('This is ' + text if text.startswith(('a', 'the')) else text for text in templates)


PROMPTS: dict[str, tuple[str, ...]] = {
    'vild': _vild(),
    'imagenet': tuple(template('{}') for template in OPENAI_IMAGENET_TEMPLATES),
    'single': ('a photo of a {}.', ),
}
"""Templates by set name: 'vild' (63), 'imagenet' (OpenAI's 80) and 'single'; ``{}`` is the name, ``{article}`` a/an."""


def clean_name(name: str) -> str:
    """A class name as it stands in a text: ``_`` becomes a space, ``/`` becomes " or ", lower case, no final dot.

    Args:
        name: 'Hot_dog', 'couch/sofa', ...

    Raises:
        ValueError: nothing is left of the name.
    """
    if not isinstance(name, str):
        raise ValueError(f'class name: found {name!r} ({type(name).__name__}), expected a text')
    cleaned = ' '.join(name.replace('_', ' ').replace('/', ' or ').lower().split()).rstrip('.')
    if not cleaned:
        raise ValueError(f'class name: found {name!r}, of which nothing is left without spaces, underscores and dots')
    return cleaned


def fill_prompts(name: str, prompts: str | Sequence[str] = 'vild') -> list[str]:
    """The texts of one class.

    The article is 'an' before a, e, i, o, u and 'a' otherwise, by the first letter of the cleaned name.

    Args:
        name: class name, cleaned by `clean_name`.
        prompts: a name in `PROMPTS`, or templates with ``{}`` for the name and, if wanted, ``{article}``.

    Returns:
        One text for each template.

    Raises:
        ValueError: empty name, unknown prompt set, or a template without ``{}``.
    """
    cleaned = clean_name(name)
    article = 'an' if cleaned[0] in 'aeiou' else 'a'
    return [template.format(cleaned, article=article) for template in prompt_templates(prompts)]


def prompt_templates(prompts: str | Sequence[str]) -> tuple[str, ...]:
    """The templates of a prompt set.

    Args:
        prompts: a name in `PROMPTS`, or the templates themselves.

    Raises:
        ValueError: unknown name, no template, or a template without ``{}``.
    """
    if isinstance(prompts, str) and prompts not in PROMPTS:
        raise ValueError(f"field 'prompts': found {prompts!r}, expected one of {list(PROMPTS)} or a list of templates "
                         'such as a photo of {article} {}.')
    templates = PROMPTS[prompts] if isinstance(prompts, str) else tuple(prompts)
    bad = [text for text in templates if '{}' not in text or {'{', '}'} & set(re.sub(r'{}|{article}', '', text))]
    if bad or not templates:
        raise ValueError(f"field 'prompts': found {bad or templates!r}, expected templates with {{}} for the name and, "
                         'if wanted, {article}')
    return templates
