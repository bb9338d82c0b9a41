from rsc_mm.models.text.nouns import NounFinder, frequent_nouns

CAPTIONS = ['A man riding a wave on a surfboard.', 'The black and white dog sits on the couch', 'Two dogs on a beach',
            'a large brown dog is near a couch', 'A lot of people in front of a couch.', 'A photo of a man and a dog',
            'A living room with a couch and a window.']


def test_nouns_stand_alone_between_determiner_and_end_of_phrase() -> None:
    # couch 4; man 2 (riding, and); dog: "Two dogs on", "a dog"; adjectives, "lot", "photo", "living" and "sits" do not.
    assert frequent_nouns(CAPTIONS, min_count=2) == ['couch', 'dog', 'man']
    assert frequent_nouns(CAPTIONS, min_count=1) == ['couch', 'dog', 'man', 'beach', 'surfboard', 'wave', 'window']


def test_finder_takes_whole_words_singular_or_plural_and_longer_names() -> None:
    find = NounFinder(['dog', 'hot_dog', 'person', 'knife', 'Baseball-Bat', 'bat', 'glass', 'berry', 'box', 'cat'])
    assert find('Two dogs and a category') == {0}
    assert find('People with hot dogs, knives and glasses.') == {0, 1, 2, 3, 6}
    assert find('a baseball bat by the boxes of berries') == {4, 5, 7, 8}
    assert find('') == set()


def test_adjectives_before_nouns_in_ing_are_left_out() -> None:
    captions = ['a white building', *[f'a white {noun} sits' for noun in ('dog', 'cat', 'hat', 'fox', 'bird')]]
    assert frequent_nouns([*captions, 'a blue ring', 'a ring'], min_count=1) == ['ring']
