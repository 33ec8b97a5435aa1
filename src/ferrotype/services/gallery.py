"""What a gallery shows: pages of pictures, their days, and what there is to filter by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from ferrotype.db import assets, collections, gallery
from ferrotype.db.database import Database, Transaction
from ferrotype.db.gallery import Kind, Seen
from ferrotype.domain.clock import rfc3339
from ferrotype.domain.gallery import Filters, day_end, day_of, day_start, lowest_id
from ferrotype.domain.problems import NotFound
from ferrotype.services.envelopes import Envelope, asset_envelope

#: What pictures are counted by: the field of a filter, and its name in the answer.
FACETS: Final = (
    ("model", "models"),
    ("style", "styles"),
    ("aspect_ratio", "aspect_ratios"),
    ("operation", "operations"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after the picture `cursor`, or with number `offset` of `day`, which is in `tz`
    minutes east of UTC; with neither at the newest. Pictures newer than `until` do not count. `beyond`
    that day it goes on into those before."""

    cursor: str | None = None
    day: date | None = None
    tz: int = 0
    offset: int = 0
    until: str | None = None
    beyond: bool = False


class Gallery:
    """Reads the pictures of an account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, account_id: str, wanted: Filters, place: Place, limit: int, base_url: str
    ) -> tuple[list[Envelope], str | None]:
        """Pictures that fit, newest first, each with what made it; and the cursor of the next page when there
        is one. Raises NotFound for a collection that does not exist."""
        end_ms = None
        if place.day is not None:
            end_ms, first_ms = day_end(place.day, place.tz), day_start(place.day, place.tz)
            if not place.beyond:
                wanted = replace(wanted, from_ms=max(first_ms, wanted.from_ms or 0))

        def story(tx: Transaction) -> tuple[list[Envelope], str | None]:
            _check(tx, account_id, wanted)
            ids = gallery.page(
                tx,
                account_id,
                wanted,
                limit=limit + 1,
                before=place.cursor,
                until=place.until,
                end_ms=end_ms,
                offset=place.offset,
            )
            more = ids[limit - 1] if len(ids) > limit else None
            return _pictures(tx, ids[:limit], base_url), more

        return await self._database.read(story)

    async def timeline(self, account_id: str, wanted: Filters, tz: int) -> Envelope:
        """The days that have pictures, newest first, with the proportions of each. Raises NotFound for a
        collection that does not exist."""

        def story(tx: Transaction) -> Envelope:
            _check(tx, account_id, wanted)
            seen = gallery.timeline(tx, account_id, wanted)
            return {
                "object": "timeline",
                "total": len(seen),
                "newest": seen[0].id if seen else None,
                "sections": sections(seen, tz),
            }

        return await self._database.read(story)

    async def facets(self, account_id: str, wanted: Filters) -> Envelope:
        """What generated pictures there are, each counted with all filters but its own, so that another
        choice can be made; the most frequent first. Raises NotFound for a collection that does not exist."""
        others = replace(wanted, model=None, style=None, aspect_ratio=None, operation=None)

        def story(tx: Transaction) -> list[Kind]:
            _check(tx, account_id, wanted)
            return gallery.kinds(tx, account_id, others)

        found = await self._database.read(story)
        return {"object": "facets"} | {name: _counted(found, wanted, field) for field, name in FACETS}


def sections(seen: Sequence[Seen], tz: int) -> list[Envelope]:
    """The days of pictures that come newest first. A proportion that is not known yet counts as a square."""
    found: list[Envelope] = []
    floor, ratios = "\U0010ffff", list[float]()
    known: dict[tuple[int | None, int | None], float] = {}  # most pictures share a few sizes
    for asset_id, width, height in seen:
        if asset_id < floor:
            day, ratios = day_of(asset_id, tz), []
            floor = lowest_id(day_start(day, tz))
            found.append({"date": day.isoformat(), "count": 0, "ratios": ratios})
        sides = width, height
        ratio = known.get(sides)
        if ratio is None:
            ratio = known[sides] = round(width / height, 2) or 0.01 if width and height else 1.0
        ratios.append(ratio)
    for section in found:
        section["count"] = len(section["ratios"])
    return found


def _check(tx: Transaction, account_id: str, wanted: Filters) -> None:
    """Raise NotFound for a collection that is not the account's."""
    named = wanted.collection_id
    if named is not None and collections.get(tx, named, account_id) is None:
        raise NotFound(f"There is no collection {named}.", field="collection")


def _pictures(tx: Transaction, ids: Sequence[str], base_url: str) -> list[Envelope]:
    found = assets.of_ids(tx, ids)
    made_by = {asset.generation_id for asset in found.values() if asset.generation_id is not None}
    orders = gallery.made_by(tx, sorted(made_by))
    shown = []
    for asset_id in ids:
        asset = found[asset_id]
        row = orders.get(asset.generation_id) if asset.generation_id else None
        shown.append(asset_envelope(asset, base_url) | {"generation": row and _made_by(row)})
    return shown


def _made_by(row: Any) -> Envelope:
    order = row.input
    return {
        "id": row.id,
        "prompt": order.get("prompt") or "",
        "negative_prompt": order.get("negative_prompt"),
        "model": row.model,
        "style": row.style,
        "aspect_ratio": row.aspect_ratio,
        "operation": row.operation,
        "seed": order.get("seed"),
        "params": order.get("params") or {},
        "batch_id": row.batch_id,
        "num_images": row.num_images,
        "created_at": rfc3339(row.created_at),
    }


def _counted(found: Iterable[Kind], wanted: Filters, field: str) -> list[Envelope]:
    """How many pictures have which value of `field`, of those that fit the filters of the other fields."""
    others = [(name, getattr(wanted, name)) for name, _ in FACETS if name != field]
    asked = [(name, value) for name, value in others if value is not None]
    counts: Counter[str] = Counter()
    for kind in found:
        value = getattr(kind, field)
        if value is not None and all(getattr(kind, name) == choice for name, choice in asked):
            counts[value] += kind.pictures
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [{"name": name, "count": count} for name, count in ordered]
