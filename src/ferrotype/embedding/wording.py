"""What vectors do not see: differences of a word or two that make another picture.

A count, a "no", who does what to whom: prompts that differ in nothing else have nearly the same vector, and
the longer they are the less any one word moves it (ADR 14 has the figures). So two prompts whose vectors are
near are compared by their words, and where those differ once more by the vectors of these places alone. The
lists are English, as the network is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

from ferrotype.embedding.wordpiece import MAX_TOKENS, is_known, token_ids, words

_COUNTS: Final = """one two three four five six seven eight nine ten eleven twelve twenty thirty fifty
    hundred thousand single double triple pair couple both dozen few several many crowd empty full first
    second third"""
_NEGATIONS: Final = """no not without never none nothing nobody neither nor non except minus isn aren doesn
    don wasn"""
_PLACES: Final = "left right front back top bottom inside outside above below"
_COLOURS: Final = """red orange yellow green blue purple violet pink brown black white gray grey gold golden
    silver beige turquoise teal cyan magenta crimson scarlet navy olive maroon lavender"""
_SMALL: Final = "a an the of in on at by with and or is are to from as its it"
#: Words that two similar prompts must have in common, each as often.
DECISIVE: Final = frozenset(f"{_COUNTS} {_NEGATIONS} {_PLACES} {_COLOURS}".split())
#: Words on either side of a difference that are compared with it: with fewer the network has too little to go
#: by, with more it sees too little of the difference.
CONTEXT: Final = 3
#: Prompts that differ in more places are not held to be similar.
MAX_PLACES: Final = 8
#: Bounds on what is compared word by word: characters of a prompt (256 tokens are a third of that), and for
#: all words together how often they are in one prompt times how often in the other.
MAX_CHARACTERS: Final = 4_000
MAX_REPEATS: Final = 4_000
#: Words that may come and go, and stand anywhere.
SMALL: Final = frozenset(_SMALL.split())
_PHRASES: Final = re.compile(r"[,;.|\n]+")
#: Text that is to appear in the picture. A single quote counts where it cannot be an apostrophe.
_QUOTED: Final = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»|(?<!\w)[\'‘]([^\'’]*)[\'’](?!\w)')


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is looked at of a prompt."""

    words: tuple[str, ...]
    cut: bool
    unknown: list[str]
    quotes: list[str]
    decisive: Counter[str]
    phrases: Counter[tuple[str, ...]]


def conflict(one: str, other: str) -> str | None:
    """Why two prompts must not stand in for each other, however near their vectors are; None where nothing
    speaks against it."""
    mine, theirs = _read(one), _read(other)
    if mine.words == theirs.words:
        return None
    if mine.cut or theirs.cut:
        return "one of them is longer than what the network reads"
    if mine.unknown != theirs.unknown:
        return "they have words that the network does not know"
    if mine.quotes != theirs.quotes:
        return "the text in the picture differs"
    if mine.decisive != theirs.decisive:
        return "they differ in a number, a negation, a place or a colour"
    if mine.phrases != theirs.phrases and not _same_order(mine.words, theirs.words):
        return "they have the same words in another order"
    often, here = Counter(mine.words), Counter(theirs.words)
    if sum(count * here[word] for word, count in often.items()) > MAX_REPEATS:
        return "they repeat the same words too often"
    if len(excerpts(one, other)) > MAX_PLACES:
        return "they differ in many places"
    return None


def excerpts(one: str, other: str) -> list[tuple[str, str]]:
    """The places where two prompts without a `conflict` differ, each with the words around it, in both; none
    where the words are the same."""
    mine, theirs = _read(one).words, _read(other).words
    if mine == theirs:
        return []
    groups = SequenceMatcher(None, mine, theirs, autojunk=False).get_grouped_opcodes(CONTEXT)
    return [
        (" ".join(mine[group[0][1] : group[-1][2]]), " ".join(theirs[group[0][3] : group[-1][4]]))
        for group in groups
    ]


@lru_cache(maxsize=128)
def _read(text: str) -> _Reading:
    if len(text) > MAX_CHARACTERS:
        return _Reading(tuple(text.lower().split()), True, [], [], Counter(), Counter())
    found = words(text)
    return _Reading(
        words=tuple(found),
        cut=len(token_ids(text, MAX_TOKENS + 1)) > MAX_TOKENS,
        unknown=[word for word in found if not is_known(word)],
        quotes=[next(filter(None, each), "").strip().lower() for each in _QUOTED.findall(text)],
        decisive=Counter(word for word in found if word in DECISIVE or any(map(str.isdigit, word))),
        phrases=Counter(tuple(words(each)) for each in _PHRASES.split(text)),
    )


def _same_order(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether the words that both have come in the same order."""
    common = Counter(mine) & Counter(theirs)
    return _only(mine, common) == _only(theirs, common)


def _only(found: Sequence[str], kept: Counter[str]) -> list[str]:
    left = kept.copy()
    taken = []
    for word in found:
        if word.isalnum() and word not in SMALL and left[word] > 0:
            left[word] -= 1
            taken.append(word)
    return taken
