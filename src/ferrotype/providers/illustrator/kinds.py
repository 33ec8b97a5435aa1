"""Which artwork belongs to which kind of thing, for negative prompts ("no people", "without animals")."""

from __future__ import annotations

from . import vocabulary
from .scene import Subject
from .vocabulary import codes


def groups_of(word: str) -> set[str]:
    """The kinds that a word stands for."""
    return {group for name, group in vocabulary.GROUPS.items() if word == name}


def is_banned(subject: Subject, banned: set[str]) -> bool:
    """Whether codes, names or kinds in `banned` rule this subject out."""
    code, place = subject.code, subject.place
    return (
        code in banned
        or subject.name in banned
        or ("people" in banned and (place == "person" or code[:5] in _PEOPLE))
        or ("animals" in banned and (code[:5] in _ANIMALS or code in ("unicorn", "E000", "E006", "E007")))
        or ("plants" in banned and place == "plant")
        or ("trees" in banned and place == "plant" and subject.height > 1.2)
        or ("buildings" in banned and place == "building")
        or ("birds" in banned and code[:5] in _BIRDS)
        or ("flowers" in banned and code in _FLOWERS)
    )


_PEOPLE = codes("1F476 1F46A 1F483 1F57A 1F3C3 1F6B4 1F3CC 1F939 1F9D8 1F93A 1F3C7 1F9DC")
_ANIMALS = frozenset(
    [f"{p:X}" for p in range(0x1F400, 0x1F440)]
    + [f"{p:X}" for p in range(0x1F980, 0x1F9AF)]
    + ["1F54A", "1F577", "1FACF"]
)
_BIRDS = codes("1F426 1F54A 1F985 1F99C 1F413 1F425 1F423 1F427 1F989 1F9A4 1F9A9 1F99A 1FABF 1F986 1F9A2")
_FLOWERS = codes("1F33B 1F339 1F337 1F338 1F33A 1F33C 1FABB 1FAB7 1F490")
