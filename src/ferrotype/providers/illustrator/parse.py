"""Prompt text to `Scene`: one pass over the words, longest phrase first, in time linear in the prompt."""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from . import lexicon, vocabulary
from .colours import COLOURS
from .kinds import groups_of, is_banned
from .lexicon import Noun
from .scene import Scene, Subject

#: Words looked at; a longer prompt has said what it wants by then.
MAX_WORDS = 2000
MAX_SUBJECTS = 8
MAX_COPIES = 24

_TOKEN = re.compile(
    r"[a-z0-9]+(?:'[a-z]+)?|[,.;:!?()|\n]|[\u2600-\u27bf\u2b50\U0001f300-\U0001faff]|[^\W\x00-\x7f]+"
)
_WATER_HOMES = frozenset({"underwater", "sea", "pond", "lake"})


@dataclass(slots=True)
class _Reading:
    """The growing result of one pass."""

    subjects: list[Subject] = field(default_factory=list)
    definite: list[bool] = field(default_factory=list)
    homes: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    hours: list[str] = field(default_factory=list)
    weather: set[str] = field(default_factory=set)
    sky: set[str] = field(default_factory=set)
    styles: list[str] = field(default_factory=list)
    accents: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    banned: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Pending:
    """Adjectives that wait for their noun; a clause break forgets them."""

    count: int | None = None
    colour: str | None = None
    size: float = 1.0
    relation: str | None = None
    definite: bool = False
    article: bool = False
    negated: bool = False


def words_of(prompt: str) -> list[str]:
    """Lower-case words, clause marks and single emoji characters of `prompt`, at most `MAX_WORDS`."""
    plain = (
        unicodedata.normalize("NFKC", prompt[: MAX_WORDS * 16]).lower().replace("’", "'").replace("-", " ")
    )
    plain = "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
    found = []
    for match in _TOKEN.finditer(plain):
        found.append(match.group().removesuffix("'s"))
        if len(found) == MAX_WORDS:
            break
    return found


_TABLES: tuple[tuple[str, dict[str, object]], ...] = (
    ("setting", dict(vocabulary.SETTINGS)),
    ("hour", dict(vocabulary.HOURS)),
    ("weather", dict(vocabulary.WEATHER)),
    ("sky", dict(vocabulary.SKY)),
    ("relation", dict(vocabulary.RELATIONS)),
    ("count", dict(vocabulary.COUNTS)),
    ("size", dict(vocabulary.SIZES)),
    ("style", dict(vocabulary.STYLES)),
)
_LONGEST = 5


def _match(words: list[str], start: int) -> tuple[str, object, int]:
    """The meaning of the longest phrase at `start`: its kind, its value, and how many words it took."""
    for length in range(min(_LONGEST, len(words) - start), 0, -1):
        piece = words[start : start + length]
        if length > 1 and any(w in vocabulary.BREAKS for w in piece):
            continue
        phrase = " ".join(piece)
        for kind, table in _TABLES:
            if phrase in table:
                return kind, table[phrase], length
        noun = lexicon.find(piece) if length <= lexicon.LONGEST else None
        if length == 1 and phrase in COLOURS and (noun is None or _colours_a_noun(words, start)):
            return "colour", COLOURS[phrase], 1
        if noun:
            return "noun", noun, length
    word = words[start]
    if word in lexicon.by_character():
        return "noun", (lexicon.by_character()[word], False), 1
    return "word", word, 1


def _colours_a_noun(words: list[str], start: int) -> bool:
    """Whether "orange" at `start` describes something ("orange cat") rather than being the fruit."""
    for word in words[start + 1 : start + 3]:
        if word in vocabulary.BREAKS or word in vocabulary.RELATIONS:
            return False
        if lexicon.find([word]) or word in vocabulary.SETTINGS or word in vocabulary.SKY:
            return True
    return False


def read(prompt: str) -> _Reading:
    """One pass over `prompt`; knows nothing of seeds."""
    words = words_of(prompt)
    out, pending, i = _Reading(), _Pending(), 0
    previous = ""
    while i < len(words):
        kind, value, length = _match(words, i)
        word = words[i]
        if kind == "word":
            _plain_word(word, previous, out, pending)
        elif kind == "relation":
            pending.relation = str(value) if out.subjects else None
            if pending.negated and value not in ("beside", "with"):
                pending.negated = False
        elif kind == "count":
            assert isinstance(value, int)
            pending.count = 2 * pending.count if pending.count == 2 and value == 12 else value
        elif kind == "colour":
            pending.colour = str(value)
            if previous in vocabulary.COPULAS and out.subjects and not _noun_follows(words, i + 1):
                out.subjects[-1] = replace(out.subjects[-1], colour=str(value))
                pending.colour = None
        elif kind == "size":
            assert isinstance(value, float)
            pending.size *= value
        elif kind == "noun":
            assert isinstance(value, tuple)
            _noun(value[0], value[1], out, pending)
            pending = _Pending(negated=pending.negated)
        elif kind == "style":
            out.styles.append(str(value))
        else:
            _backdrop(kind, str(value), out, pending)
        previous = words[i + length - 1]
        i += length
        if word in vocabulary.BREAKS:
            pending = _Pending()
    return out


def _noun_follows(words: list[str], start: int) -> bool:
    return (
        start < len(words)
        and words[start] not in vocabulary.BREAKS
        and lexicon.find([words[start]]) is not None
    )


def _plain_word(word: str, previous: str, out: _Reading, pending: _Pending) -> None:
    if word in vocabulary.NEGATIONS:
        pending.negated = True
    elif word in vocabulary.DEFINITE:
        pending.definite = True
    elif word in vocabulary.ARTICLES:
        pending.article = True
    elif word.isascii() and word.isdigit():
        if len(word) <= 3 and 1 <= int(word) <= 100:
            pending.count = int(word)
    elif (
        word not in vocabulary.BREAKS and word not in vocabulary.STOPWORDS and word not in vocabulary.COPULAS
    ):
        out.unknown.append(word)


def _backdrop(kind: str, value: str, out: _Reading, pending: _Pending) -> None:
    if pending.negated:
        out.banned.add(value)
        return
    if pending.relation == "on" and kind == "sky" and value in ("moon", "crescent"):
        kind, value = "setting", "moon"
    if pending.relation == "under" and value in ("sea", "table"):
        value = {"sea": "underwater", "table": "room"}[value]
    if pending.relation == "above" and kind == "sky" and out.subjects and out.subjects[-1].place == "ground":
        out.subjects[-1] = replace(out.subjects[-1], place="fly")  # the cow that jumps over the moon
    if pending.relation in ("beside", "with", "front") and kind == "setting" and value == "sea":
        value = "beach"
    match kind:
        case "setting":
            out.settings.append(value)
        case "hour":
            out.hours.append(value)
        case "weather":
            out.weather.add(value)
        case "sky":
            out.sky.add(value)
    if pending.colour:
        out.accents.append(pending.colour)
    pending.colour = pending.count = pending.relation = None
    pending.size, pending.definite = 1.0, False


def _noun(noun: Noun, plural: bool, out: _Reading, pending: _Pending) -> None:
    if pending.negated:
        out.banned.add(noun.code)
        out.banned.update(groups_of(noun.name))
        return
    count = pending.count or (0 if plural else 1)  # 0: several, the seed says how many
    for i, known in enumerate(out.subjects):
        same_look = pending.colour is None or known.colour in (None, pending.colour)
        if known.code == noun.code and same_look and (pending.definite or pending.count is None):
            if pending.article and not pending.definite and pending.relation:
                continue  # "a cat and a cat" are two
            out.subjects[i] = replace(
                known,
                colour=known.colour or pending.colour,
                count=max(known.count, count) if known.count else 0,
            )
            return
    if len(out.subjects) >= MAX_SUBJECTS:
        return
    relation, anchor = pending.relation, len(out.subjects) - 1
    if relation is None or anchor < 0:
        relation, anchor = None, -1
    out.subjects.append(
        Subject(
            noun.code,
            noun.name,
            noun.place,
            noun.height,
            min(count, MAX_COPIES),
            pending.colour,
            min(2.2, max(0.4, pending.size)),
            relation,
            anchor if anchor >= 0 else None,
        )
    )
    out.homes.append(noun.home)


def describe(prompt: str, seed: int, negative_prompt: str = "") -> Scene:
    """The parsed scene of (prompt, seed): pure, never raises on any text.

    What the words leave open (how many "apples", the hour, the place of a cat) is drawn from the seed.
    """
    reading = read(prompt)
    banned = set(reading.banned)
    if negative_prompt:
        against = read(negative_prompt)
        banned |= {s.code for s in against.subjects} | against.weather | against.sky | set(against.settings)
        banned |= set(against.hours) | against.banned
        for word in words_of(negative_prompt):
            banned |= groups_of(word)
            if word in ("animal", "animals", "vehicle", "vehicles"):
                banned |= groups_of(word)
    key = f"{hashlib.sha256(' '.join(words_of(prompt)).encode()).hexdigest()}|{seed}"
    rng = random.Random(key)
    subjects, homes = _kept(reading, banned, rng)
    unknown = tuple(dict.fromkeys(reading.unknown))[:40]
    if "snow" in reading.weather and not reading.settings and not all(s.place == "small" for s in subjects):
        reading.settings.append("snow")
    setting = _setting(
        [s for s in reading.settings if s not in banned], subjects, homes, unknown, bool(reading.sky), rng
    )
    hour = _hour(reading, banned, homes, setting, rng)
    weather = frozenset(w for w in reading.weather if w not in banned)
    sky = frozenset(s for s in reading.sky if s not in banned)
    if setting == "snow" and "snow" not in banned and not weather and rng.random() < 0.5:
        weather = frozenset({"snow"})
    return Scene(
        subjects,
        setting,
        hour,
        weather,
        sky,
        reading.accents[0] if reading.accents else None,
        reading.styles[0] if reading.styles else None,
        unknown,
        key,
    )


def _kept(reading: _Reading, banned: set[str], rng: random.Random) -> tuple[tuple[Subject, ...], list[str]]:
    kept: list[Subject] = []
    homes: list[str] = []
    new_index: dict[int, int] = {}
    for i, (subject, home) in enumerate(zip(reading.subjects, reading.homes, strict=True)):
        if is_banned(subject, banned):
            continue
        new_index[i] = len(kept)
        anchor = new_index.get(subject.anchor) if subject.anchor is not None else None
        relation = subject.relation if anchor is not None else None
        count = subject.count or rng.choice((2, 3, 3, 4))
        kept.append(replace(subject, anchor=anchor, relation=relation, count=count))
        homes.append(home)
    total = sum(s.count for s in kept)
    if total > MAX_COPIES + 4:
        kept = [replace(s, count=max(1, round(s.count * MAX_COPIES / total))) for s in kept]
    return tuple(kept), homes


def _first(words: Iterable[str], default: str) -> str:
    return next(iter(words), default)


#: What words without a picture of their own turn into, by their hash.
_LANDSCAPES = (
    "mountains",
    "meadow",
    "sea",
    "desert",
    "forest",
    "lake",
    "abstract",
    "snow",
    "sky",
    "abstract",
)


def _setting(
    named: list[str],
    subjects: tuple[Subject, ...],
    homes: list[str],
    unknown: tuple[str, ...],
    skies: bool,
    rng: random.Random,
) -> str:
    if any(s.place not in ("fly", "sky") for s in subjects):
        named = [
            s for s in named if s != "sky"
        ]  # "a red sky over a castle" is about colour, not about flying
    if named:
        specific = [s for s in named if s not in ("sky", "room", "meadow")] or named
        setting = specific[0]
        if setting == "sea" and subjects and all(s.place == "swim" for s in subjects):
            return "underwater"
        return setting
    roles = [(s, h) for s, h in zip(subjects, homes, strict=True) if h != "-"]
    ordered = [h for s, h in roles if s.place not in ("small", "sky")] + [
        h for s, h in roles if s.place == "sky"
    ]
    ordered += [h for s, h in roles if s.place == "small"]
    home = _first((h for h in ordered if h not in ("meadow", "city")), _first(ordered, ""))
    if home in ("night", "storm", "castle", "clouds"):
        home = {"clouds": "sky"}.get(home, "meadow")
    if home == "kitchen":
        home = "table"
    if home == "underwater" and any(
        s.place in ("ground", "person", "plush", "building") and h not in _WATER_HOMES for s, h in roles
    ):
        home = "beach"
    if home:
        return home
    if subjects:
        return "studio" if all(s.place == "small" for s in subjects) else "meadow"
    if skies:  # northern lights want a landscape below them
        return rng.choice(("mountains", "snow", "lake", "meadow", "sea", "desert"))
    digest = hashlib.sha256(" ".join(unknown).encode()).digest()
    return _LANDSCAPES[(digest[0] + rng.randrange(3)) % len(_LANDSCAPES)]


def _hour(reading: _Reading, banned: set[str], homes: list[str], setting: str, rng: random.Random) -> str:
    named = [h for h in reading.hours if h not in banned]
    if named:
        return named[0]
    nightly = {"moon", "crescent", "stars", "aurora"} & (reading.sky - banned)
    if (nightly or setting == "space" or "night" in homes) and "night" not in banned:
        return "night"
    if reading.sky & {"rainbow"}:
        return "day"
    hours = ["day", "day", "day", "morning", "morning", "golden", "golden", "sunset", "dusk"]
    if setting in ("snow", "beach", "savanna", "table", "room", "studio"):
        hours = ["day", "day", "morning", "golden", "sunset"]
    if reading.sky & {"sun"}:
        hours = ["day", "day", "morning", "golden"]
    allowed = [h for h in hours if h not in banned] or ["day"]
    return rng.choice(allowed)
