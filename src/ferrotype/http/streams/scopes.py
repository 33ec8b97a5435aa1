"""Whose events a stream tells, and which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from ferrotype.db.journal import Topic
from ferrotype.domain.event import LIVE_EVENTS, STATE_EVENTS, Event
from ferrotype.domain.problems import InvalidField
from ferrotype.services.inline import Inline

#: Types that may be chosen; the others come whatever was chosen.
CHOICES: Final = (*STATE_EVENTS, *LIVE_EVENTS)
INLINE: Final = get_args(Inline)
#: Characters of a value that a problem repeats.
SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """A generation, a batch or an account."""

    kind: Topic
    id: str

    def ends_with(self, event: Event) -> bool:
        """Whether nothing comes after it."""
        if not event.terminal or self.kind == "account":
            return False
        return self.kind == "generation" or event.generation_id is None


@dataclass(frozen=True, slots=True)
class Options:
    """What a stream was asked for. `types` None stands for all."""

    types: frozenset[str] | None = None
    inline: Inline | None = None
    previews: bool = True

    def wants(self, event: Event) -> bool:
        """Whether events like this one are told."""
        if event.type == "preview" and not self.previews:
            return False
        return self.types is None or event.type in self.types


def read_types(names: list[str] | str | None) -> frozenset[str] | None:
    """Of a list, or of a text with commas. Raises InvalidField."""
    if names is None:
        return None
    found = [each.strip() for each in names.split(",")] if isinstance(names, str) else names
    for name in found:
        if name not in CHOICES:
            raise InvalidField(
                f"There are no events of the type {name[:SHOWN]!r} to choose.", field="types", limit=CHOICES
            )
    return frozenset(found)


def read_inline(name: str | None) -> Inline | None:
    """Raises InvalidField."""
    for known in INLINE:
        if name == known:
            return known  # type: ignore[no-any-return]
    if name is None:
        return None
    raise InvalidField(f"{name[:SHOWN]!r} cannot be put into events.", field="inline", limit=INLINE)


def read_previews(text: str | None) -> bool:
    """Raises InvalidField."""
    if text in (None, "true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise InvalidField("previews is true or false.", field="previews", limit=("true", "false"))


def read_number(text: str | None, field: str = "last_event_id") -> int | None:
    """The number of the last event that a client has seen. Raises InvalidField."""
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidField(f"{text[:SHOWN]!r} is no number of an event.", field=field)
    return int(text)
