r"""Dynamic prompts: one text that stands for many.

`{red|blue}` are alternatives, `{1..5}` and `{1..10..2}` whole numbers; groups may be nested. Several groups
stand for every combination, in reading order: the last one varies fastest. `\{`, `\}`, `\|` and `\\` are the
characters themselves. Braces that hold neither a `|` of their own nor a range are text, and so is a brace
without its partner: JSON in a prompt stays as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ferrotype.domain.problems import InvalidField

#: Groups inside groups.
MAX_DEPTH: Final = 32
#: Digits of a range's numbers; longer ones are text.
MAX_DIGITS: Final = 18
#: The largest whole number that every JSON reader keeps exact: counts are told up to here.
LARGEST: Final = 2**53 - 1

_NUMBER: Final = rf"(-?[0-9]{{1,{MAX_DIGITS}}})"
_RANGE: Final = re.compile(rf"\{{[ ]?{_NUMBER}\.\.{_NUMBER}(?:\.\.{_NUMBER})?[ ]?\}}")
_ESCAPED: Final = "{}|\\"
_PLAIN: Final = re.compile(r"[^{}|\\]+")


@dataclass(frozen=True, slots=True)
class _Range:
    """`start` and every `step` further until `end`, which is reached only if a step ends there."""

    start: int
    step: int
    count: int
    width: int
    depth: int = 0

    def at(self, index: int) -> str:
        number = self.start + index * self.step
        return f"{'-' if number < 0 else ''}{abs(number):0{self.width}d}"


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Parts one after the other; `str` stands for itself."""

    parts: tuple[str | _Range | _Choice, ...]
    count: int
    depth: int

    def at(self, index: int) -> str:
        texts = []
        for part in reversed(self.parts):
            if isinstance(part, str):
                texts.append(part)
            else:
                index, own = divmod(index, part.count)
                texts.append(part.at(own))
        return "".join(reversed(texts))


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of its alternatives."""

    alternatives: tuple[_Sequence, ...]
    count: int
    depth: int

    def at(self, index: int) -> str:
        for alternative in self.alternatives:
            if index < alternative.count:
                return alternative.at(index)
            index -= alternative.count
        raise IndexError(index)


_Part = str | _Range | _Choice


def count(text: str, *, field: str = "prompt") -> int:
    """How many prompts a text stands for, at least 1; worked out without making them.

    Raises InvalidField where groups are nested too deep, or a range has a step of 0.
    """
    return _parse(text, field).count


def expand(text: str, limit: int, *, field: str = "prompt") -> list[str]:
    """Every prompt that the text stands for, alike ones too.

    Raises InvalidField, before any is made, for more than `limit`, and where `count` does.
    """
    parsed = _parse(text, field)
    if parsed.count > limit:
        raise InvalidField(
            f"{field} stands for {written(parsed.count)} prompts; at most {written(limit)} are taken.",
            field=field,
            limit=limit,
        )
    return list(_each(parsed))


def prompts(text: str, *, field: str = "prompt") -> Iterator[str]:
    """The same one after the other, however many; nothing is made ahead."""
    return _each(_parse(text, field))


def first(text: str, number: int, *, field: str = "prompt") -> tuple[int, list[str]]:
    """How many prompts the text stands for, and the first `number` of them. Raises as `count` does."""
    parsed = _parse(text, field)
    return parsed.count, list(islice(_each(parsed), number))


def told(number: int) -> int:
    """A count as JSON tells it: `LARGEST` stands for that many or more."""
    return min(number, LARGEST)


def written(number: int) -> str:
    """A count for people: `1,204`, or `about 10^30`."""
    return f"{number:,}" if number < 10**15 else f"about 10^{round(math.log10(number))}"


def _each(parsed: _Sequence) -> Iterator[str]:
    index = 0
    while index < parsed.count:  # `range` takes no count beyond the machine's word
        yield parsed.at(index)
        index += 1


class _Open:
    """A brace that is not closed yet, or the text itself."""

    __slots__ = ("done", "parts", "text")

    def __init__(self) -> None:
        #: The alternatives before the last `|`.
        self.done: list[list[_Part]] = []
        self.parts: list[_Part] = []
        self.text: list[str] = []

    def flush(self) -> list[_Part]:
        """The parts since the last `|`, with the text behind them."""
        if self.text:
            self.parts.append("".join(self.text))
            self.text = []
        return self.parts

    def bar(self) -> None:
        """Begin another alternative."""
        self.done.append(self.flush())
        self.parts = []

    def spelled(self) -> list[_Part]:
        """What was read as text: its bars are characters."""
        parts: list[_Part] = []
        for alternative in self.done:
            parts += [*alternative, "|"]
        return parts + self.flush()


def _parse(text: str, field: str) -> _Sequence:
    """In one pass from left to right: a long text of braces costs no more than another."""
    stack = [_Open()]
    at = 0
    while at < len(text):
        plain = _PLAIN.match(text, at)
        if plain:
            stack[-1].text.append(plain[0])
            at = plain.end()
            continue
        character = text[at]
        if character == "\\" and at + 1 < len(text) and text[at + 1] in _ESCAPED:
            stack[-1].text.append(text[at + 1])
            at += 2
            continue
        if character == "{":
            found = _RANGE.match(text, at)
            if found:
                _add(stack[-1], _range(found, field))
                at = found.end()
                continue
            stack.append(_Open())
        elif character == "}" and len(stack) > 1:
            _close(stack, field)
        elif character == "|" and len(stack) > 1:
            stack[-1].bar()
        else:
            stack[-1].text.append(character)
        at += 1
    parts = stack[0].spelled()
    for unclosed in stack[1:]:
        parts += ["{", *unclosed.spelled()]
    return _sequence(parts)


def _close(stack: list[_Open], field: str) -> None:
    """The innermost open brace ends: a group if it has alternatives, else text with a brace at either end."""
    closed, outer = stack.pop(), stack[-1]
    if not closed.done:
        outer.flush()
        outer.parts += ["{", *closed.flush()]
        outer.text.append("}")
        return
    closed.bar()
    alternatives = tuple(_sequence(parts) for parts in closed.done)
    depth = 1 + max(each.depth for each in alternatives)
    if depth > MAX_DEPTH:
        raise InvalidField(
            f"{field} has groups inside groups, more than {MAX_DEPTH} deep.", field=field, limit=MAX_DEPTH
        )
    _add(outer, _Choice(alternatives, sum(each.count for each in alternatives), depth))


def _add(outer: _Open, part: _Part) -> None:
    outer.flush()
    outer.parts.append(part)


def _sequence(parts: Sequence[_Part]) -> _Sequence:
    """Neighbouring texts become one: a prompt costs as many steps as it has groups."""
    joined: list[_Part] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            joined.append("".join(texts))
            texts = []
        joined.append(part)
    if texts:
        joined.append("".join(texts))
    groups = [part for part in joined if not isinstance(part, str)]
    return _Sequence(
        tuple(joined),
        math.prod(group.count for group in groups),
        max((group.depth for group in groups), default=0),
    )


def _range(found: re.Match[str], field: str) -> _Part:
    first_text, last_text, step_text = found.groups()
    start, end = int(first_text), int(last_text)
    step = abs(int(step_text)) if step_text is not None else 1
    if step == 0:
        raise InvalidField(f"{field}: the range {found[0]} has a step of 0.", field=field, limit="not 0")
    digits = [each.lstrip("-") for each in (first_text, last_text)]
    padded = any(each.startswith("0") and len(each) > 1 for each in digits)
    width = max(map(len, digits)) if padded else 1
    made = _Range(start, step if end >= start else -step, abs(end - start) // step + 1, width)
    return made.at(0) if made.count == 1 else made
