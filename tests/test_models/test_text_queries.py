import pytest

from rsc_mm.models.text import class_queries, split_vocabulary


def test_a_command_line_is_split_at_commas_only():
    assert split_vocabulary(' sky,grass , dog; puppy,') == ['sky', 'grass', 'dog; puppy']
    with pytest.raises(ValueError, match="vocabulary: found ' , ;', expected classes between commas"):
        split_vocabulary(' , ;')


def test_synonyms_in_names_and_aliases():
    names, texts = class_queries(['dog; puppy', 'pottedplant', 'sky'], dict(pottedplant='potted plant; houseplant'))
    assert names == ['dog', 'pottedplant', 'sky']
    assert texts == [['dog', 'puppy'], ['potted plant', 'houseplant'], ['sky']]
    assert class_queries(['building, edifice'], separator=',') == (['building'], [['building', 'edifice']])


def test_a_class_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"classes: found \['dog'\] twice"):
        class_queries(['dog', 'dog; puppy'])
