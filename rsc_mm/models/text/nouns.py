"""Nouns of captions by plain rules: no tagger, nothing to download."""
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from .prompts import clean_name


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _word_set(
    'a an the this these those his her its their my your our some several many few both each every another two three '
    'four five six seven eight nine ten')
# What may follow a noun phrase; a word in -ing (a man RIDING) and the end of a sentence do as well.
_AFTER = _word_set(
    'of in on at with by for from to into onto near next beside behind under over above below between among around '
    'against along across through inside outside off while as is are was were that which who has have')
_NO_THING = _word_set(
    'lot group couple bunch pair front side sides top bottom back left right middle end edge corner other others one '
    'number variety piece pieces row line kind type set way day time background foreground picture photo photograph '
    'image view shot close distance it all same')
_IRREGULAR = {'men': 'man', 'women': 'woman', 'people': 'person', 'children': 'child', 'feet': 'foot', 'mice': 'mouse'}


def frequent_nouns(captions: Iterable[str], min_count: int = 10) -> list[str]:
    """Single-word nouns that the captions use often.

    A word counts where it stands alone between a determiner and the end of its phrase, as "dog" in "the dog on a
    couch.": adjectives and verbs are seldom found there, and a word that another one follows more than four times as
    often is left out. Plurals count for their singular where that occurs; words such
    as "group", "front" and "photo" that name no region are left out.

    Args:
        captions: English captions.
        min_count: fewest occurrences of that kind.

    Returns:
        Nouns, the most frequent first.
    """
    seen = Counter(found for caption in captions for found in _after_determiner(_words(caption)))
    # "a white building" looks like "a man riding": adjectives come with a noun behind them far more often.
    counts = {word: n for (word, alone), n in seen.items() if alone and n >= 0.25 * seen[word, False]}
    merged: Counter[str] = Counter()
    for word, count in counts.items():
        merged[next((form for form in _forms(word)[1:] if form in counts), word)] += count
    # Ties are ordered by the alphabet, so that the list is the same in every run.
    ranked = sorted(merged.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, count in ranked if count >= min_count and word not in _NO_THING]


class NounFinder:
    """Finds the nouns of a list in captions, as whole words, singular or plural.

    Args:
        nouns: T nouns of one or more words, cleaned as `clean_name` says.
    """

    def __init__(self, nouns: Sequence[str]) -> None:
        self.position = {tuple(_words(clean_name(noun))): i for i, noun in enumerate(nouns)}
        self.longest = max(len(words) for words in self.position)

    def __call__(self, caption: str) -> set[int]:
        """Positions in the list of the nouns that the caption names.

        Args:
            caption: one caption.
        """
        words, found = _words(caption), set[int | None]()
        for end in range(1, len(words) + 1):
            for start in range(max(0, end - self.longest), end):
                for form in _forms(words[end - 1]):
                    found.add(self.position.get((*words[start:end - 1], form)))
        return {position for position in found if position is not None}


def _words(text: str) -> list[str]:
    return re.findall(r'[a-z]+|[.,;:!?]', text.lower())


def _after_determiner(words: list[str]) -> list[tuple[str, bool]]:
    """Words that follow a determiner, and whether the phrase ends with them."""
    words = [*words, '.', '.']
    return [(word, _ends_phrase(after, then)) for before, word, after, then
            in zip(words, words[1:], words[2:], words[3:])
            if before in _DETERMINERS and len(word) > 2 and word not in _DETERMINERS]


def _ends_phrase(word: str, then: str) -> bool:
    """"and" ends a phrase only before a new one: not in "a black and white dog"."""
    if word in ('and', 'or'):
        return then in _DETERMINERS
    participle = re.search('[aeiouy].*ing$', word)  # "riding", but not "ring" or "wing"
    return not word.isalpha() or word in _AFTER or participle is not None


def _forms(word: str) -> list[str]:
    """The word, then what its singular may be."""
    endings = [('ves', 'f'), ('ves', 'fe'), ('ies', 'y'), ('es', ''), ('s', '')]
    singulars = [word.removesuffix(old) + new for old, new in endings if word.endswith(old) and not word.endswith('ss')]
    return [word, _IRREGULAR[word]] if word in _IRREGULAR else [word, *singulars]
