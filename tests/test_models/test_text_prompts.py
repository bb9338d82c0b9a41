import hashlib

import pytest

from rsc_mm.models.text import PROMPTS, clean_name, fill_prompts


def test_sizes_and_no_template_twice() -> None:
    sizes = {name: len(set(templates)) for name, templates in PROMPTS.items()}
    assert sizes == {'vild': 63, 'imagenet': 80, 'single': 1}


def test_vild_is_the_published_list() -> None:
    # Hash of ViLD's own list (github.com/tensorflow/tpu, Apache-2.0) after its "This is" rule, sorted.
    digest = hashlib.sha256('\n'.join(sorted(PROMPTS['vild'])).encode()).hexdigest()
    assert digest == '8e71ed372974f982456c278bd36ef0519dbbf9ff43f77f3ec4430ee6099e5b97'


def test_vild_by_hand() -> None:
    texts = fill_prompts('Hot_Dog/apple.')
    assert {'There is a hot dog or apple in the scene.', 'This is a photo of my hot dog or apple.',
            'itap of the hot dog or apple.', 'This is the cartoon hot dog or apple.',
            'This is an embroidered hot dog or apple.'} <= set(texts)
    assert not any(text.startswith(('a', 'the ')) for text in texts)


def test_article_by_first_letter() -> None:
    assert 'There is an orange in the scene.' in fill_prompts('Orange')
    assert 'There is a hour in the scene.' in fill_prompts('hour')
    # These two templates say "a" whatever follows.
    assert 'This is a photo of a small orange.' in fill_prompts('orange')
    assert fill_prompts('orange', 'single') == ['a photo of a orange.']


def test_imagenet_is_open_clips_without_this_is() -> None:
    assert fill_prompts('dog', 'imagenet')[0] == 'a bad photo of a dog.'


def test_own_templates() -> None:
    assert fill_prompts('owl', ['{article} {}', 'the {}']) == ['an owl', 'the owl']


@pytest.mark.parametrize(('name', 'cleaned'), [
    ('dining_table', 'dining table'), ('bed ', 'bed'), ('Dr. Pepper.', 'dr. pepper'),
    ('sky-other-merged', 'sky-other-merged')])
def test_clean_name(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@pytest.mark.parametrize('name', ['', ' _ ', '.', None, 3])
def test_empty_names(name: object) -> None:
    with pytest.raises(ValueError, match='class name: found'):
        clean_name(name)


@pytest.mark.parametrize('prompts', ['vild63', [], ['a photo'], ['a {} of {colour}'], ['a {'], ['{} {0}']])
def test_bad_prompts(prompts: object) -> None:
    with pytest.raises(ValueError, match=r"field 'prompts': found .* expected"):
        fill_prompts('dog', prompts)
