"""The Prefer header (RFC 7240): `respond-async` and `wait=N`."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ferrotype.http.settings import HttpSettings


def wait_seconds(values: Iterable[str], settings: HttpSettings) -> tuple[float, str | None]:
    """(seconds to wait, what to answer as Preference-Applied). Preferences that make no sense are ignored,
    as the RFC wants; of repeated ones the first counts."""
    wishes: dict[str, str] = {}
    for part in ",".join(values).split(","):
        name, _, value = part.split(";")[0].partition("=")
        wishes.setdefault(name.strip().lower(), value.strip().strip('"'))
    if "respond-async" in wishes:
        return 0.0, "respond-async"
    try:
        asked = float(wishes["wait"])
    except (KeyError, ValueError):
        return settings.default_wait, None
    if not math.isfinite(asked) or asked < 0:
        return settings.default_wait, None
    seconds = min(asked, settings.max_wait)
    return seconds, f"wait={seconds:g}"
