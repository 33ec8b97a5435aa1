"""Sizes, rates and times in people's words, both ways."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from ferrotype.config import ConfigError

UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?(?:/s)?", re.IGNORECASE)
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|m|h|d|w)", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def size(count: float) -> str:
    """Bytes, to three digits: `2.3 GB`."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {UNITS[unit]}"


def span(seconds: float) -> str:
    """A time that something takes: `3 min 12 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def pictures(count: int) -> str:
    """`1 picture`, `1,204 pictures`."""
    return f"{count:,} picture{'' if count == 1 else 's'}"


def rows(count: int) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def read_rate(text: str | None, option: str = "--rate") -> float | None:
    """Bytes a second of `50MB/s`, `8MiB`, `200k`. Raises ConfigError naming the option."""
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip())
    value = 0.0
    if found is not None:
        base = 1024 if found[3] else 1000
        value = float(found[1]) * base ** ("kmgt".index(found[2].lower()) + 1 if found[2] else 0)
    if value < 1:
        raise ConfigError(f"{option}: {text!r} is no rate; write 50MB/s, 8MiB/s or 200kB/s.")
    return value


def read_span(text: str, option: str) -> timedelta:
    """The time that `24h`, `90min` or `7d` stand for. Raises ConfigError naming the option."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{option}: {text!r} is no time; write 90min, 24h or 7d.")
    return timedelta(seconds=float(found[1]) * _SECONDS[found[2].lower()])
