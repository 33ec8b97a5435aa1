"""What a gallery shows: filters, and days of ids.

A picture is as old as its id says (UUIDv7; imported ones have that of their file's time): one order for
pages, days and cursors, in which nothing has to be sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from ferrotype.domain.states import AssetState

DAY_MS: Final = 24 * 3600 * 1000
MINUTE_MS: Final = 60 * 1000
EPOCH: Final = date(1970, 1, 1).toordinal()
#: UUIDv7 has 48 bits for its milliseconds.
LAST_MS: Final = 2**48 - 1


@dataclass(frozen=True, slots=True)
class Filters:
    """Which pictures are wanted; None asks nothing.

    `words` are folded (`domain/words.py`) and must all occur in the prompt. Without a `state` those that
    failed are left out. `from_ms` (included) and `end_ms` (not) are milliseconds since 1970. `deleted`:
    those that can be restored instead of those that stand. `uploads`: only those that nobody ordered, or only
    the others.
    """

    words: tuple[str, ...] = ()
    model: str | None = None
    style: str | None = None
    aspect_ratio: str | None = None
    operation: str | None = None
    state: AssetState | None = None
    seed: int | None = None
    favourite: bool = False
    collection_id: str | None = None
    batch_id: str | None = None
    tag: str | None = None
    from_ms: int | None = None
    end_ms: int | None = None
    deleted: bool = False
    uploads: bool | None = False


def day_start(day: date, tz: int) -> int:
    """When a day begins `tz` minutes east of UTC, in milliseconds since 1970; 0 for days before."""
    return min(max((day.toordinal() - EPOCH) * DAY_MS - tz * MINUTE_MS, 0), LAST_MS)


def day_end(day: date, tz: int) -> int:
    """When the next day begins; see `day_start`."""
    return min(max((day.toordinal() + 1 - EPOCH) * DAY_MS - tz * MINUTE_MS, 0), LAST_MS)


def day_of(asset_id: str, tz: int) -> date:
    """The day of a picture, `tz` minutes east of UTC."""
    made = int(asset_id[:8] + asset_id[9:13], 16)
    days = (made + tz * MINUTE_MS) // DAY_MS
    return date.fromordinal(min(days + EPOCH, date.max.toordinal()))


def lowest_id(ms: int) -> str:
    """What sorts before every id of that millisecond and after those of the one before."""
    digits = f"{ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"
