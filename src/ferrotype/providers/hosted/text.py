"""A service's words, made fit to be shown to whoever ordered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

#: Longest text of a service that is passed on, in characters.
MAX_TEXT: Final = 300
MARKUP: Final = re.compile(r"<\s*(!doctype|html|head|body|/?\w+[^<>]*)>", re.IGNORECASE)
#: Where services put the words of an error, the best place first.
PLACES: Final = ("detail", "message", "error", "error_message", "msg", "title", "reason")


def shown(text: object, secrets: Iterable[str] = ()) -> str:
    """The first line that says something, shortened, without keys; empty for HTML."""
    whole = str(text)
    if MARKUP.search(whole[:2_000]):
        return ""
    line = next((line.strip() for line in whole.splitlines() if line.strip()), "")
    for secret in secrets:
        line = line.replace(secret, "[secret]") if secret else line
    line = "".join(character if character.isprintable() else " " for character in line)
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def said(body: bytes, secrets: Iterable[str] = ()) -> str:
    """What an error's body says, in whichever of the usual forms; empty when it says nothing readable."""
    try:
        return shown(_words(json.loads(body)), secrets)
    except ValueError:
        return shown(body[:4_000].decode("utf-8", "replace"), secrets)


def _words(value: Any) -> str:
    match value:
        case str():
            return value
        case dict():
            for place in PLACES:
                if value.get(place):
                    where = value.get("loc")
                    words = _words(value[place])
                    path = ".".join(str(part) for part in where) if isinstance(where, list) else ""
                    return f"{path}: {words}" if path else words
            return ""
        case list():
            return "; ".join(words for item in value[:5] if (words := _words(item)))
        case _:
            return ""
