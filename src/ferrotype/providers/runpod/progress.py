"""Progress out of what a handler told with `progress_update`: it stands in the status as `output`.

Handlers tell whatever they like: `"Update 2/3"`, `45`, `0.45`, `{"progress": 45, "step": ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ferrotype.providers.hosted.logs import progress_of

OF: Final = re.compile(r"(?<![\d.])(\d{1,6})\s*(?:/|of)\s*(\d{1,6})(?![\d.])")
#: Keys of an object that may hold a fraction or percent, and those that count.
SHARES: Final = ("progress", "fraction", "percent", "percentage")
DONE: Final = ("step", "current", "current_step")
WHOLE: Final = ("total", "steps", "total_steps")
TEXTS: Final = ("message", "status", "progress")


def fraction_of(told: Any) -> float | None:
    """The fraction, 0 to 1, that it tells of; None when it tells of none."""
    match told:
        case bool():
            return None
        case int() | float():
            return _share(told)
        case str():
            return _text(told)
        case Mapping():
            return _object(told)
        case _:
            return None


def _share(value: float) -> float | None:
    """Fractions are floats up to 1; everything up to 100 is percent. A whole 1 may be either."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    if value == 0 or 1 < value <= 100:
        return value / 100
    return None


def _text(text: str) -> float | None:
    known = progress_of(text)
    if known is not None:
        return known
    counts = OF.findall(text[-4_000:])
    return _counted(*map(int, counts[-1])) if counts else None


def _object(told: Mapping[str, Any]) -> float | None:
    done, whole = (next((told[key] for key in keys if key in told), None) for keys in (DONE, WHOLE))
    if isinstance(done, int) and isinstance(whole, int):
        return _counted(done, whole)
    for key in SHARES:
        value = told.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _within(value / 100) if key.startswith("percent") else _share(value)
    return next((found for key in TEXTS if (found := _text(str(told.get(key, "")))) is not None), None)


def _counted(done: int, whole: int) -> float | None:
    return done / whole if 0 <= done <= whole and whole > 0 else None


def _within(value: float) -> float | None:
    return value if 0 <= value <= 1 else None
