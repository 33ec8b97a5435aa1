"""The gallery's statements against a plain list of rows, on SQLite and on Postgres."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import assets, collection_assets, collections, generations, imports
from ferrotype.domain.gallery import Filters, day_end, day_of, day_start, lowest_id
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from ferrotype.domain.words import folded, words
from ferrotype.services.gallery import Gallery, Place
from tests.databases import open_account
from tests.gallery.many import fill

NEWEST = datetime(2026, 3, 1, 23, 40, tzinfo=UTC)
COUNT = 260
DAYS = 30
ACCOUNT = "ada"


class Shelf:
    """A gallery, and all that is in it."""

    def __init__(self, database: Database, rows: list[dict[str, Any]]) -> None:
        self.gallery = Gallery(database)
        self.database = database
        self.rows = rows

    def fitting(self, wanted: Filters) -> list[dict[str, Any]]:
        """As the documentation says it, row by row."""
        return [row for row in self.rows if fits(row, wanted)]

    async def ids(self, wanted: Filters, place: Place | None = None, limit: int = 200) -> list[str]:
        data, _ = await self.gallery.page(ACCOUNT, wanted, place or Place(), limit, "")
        return [each["id"] for each in data]


def fits(row: dict[str, Any], wanted: Filters) -> bool:
    made = int(row["id"].replace("-", "")[:12], 16)
    deleted = row["deleted_at"] is not None and row["purged_at"] is None
    return all(
        (
            row["account_id"] == ACCOUNT,
            deleted if wanted.deleted else row["deleted_at"] is None,
            row["state"] == wanted.state if wanted.state else row["state"] != "failed",
            wanted.uploads is None or wanted.uploads == (row["generation_id"] is None),
            all(word in (row["prompt_folded"] or "") for word in wanted.words),
            *(
                getattr(wanted, name) in (None, row[name])
                for name in ("model", "style", "aspect_ratio", "operation", "batch_id", "seed")
            ),
            not wanted.favourite or row["favourite_at"] is not None,
            wanted.tag is None or wanted.tag in row["tags"],
            wanted.collection_id is None or row["collected"],
            wanted.from_ms is None or made >= wanted.from_ms,
            wanted.end_ms is None or made < wanted.end_ms,
        )
    )


@pytest.fixture
async def shelf(database: Database) -> Shelf:
    """A gallery with a bit of everything in it."""
    await open_account(database, ACCOUNT, NEWEST)
    ids = await fill(database, ACCOUNT, COUNT, newest=NEWEST, days=DAYS)

    def story(tx: Transaction) -> list[dict[str, Any]]:
        _disturb(tx, ids)
        joined = assets.outerjoin(generations, generations.c.id == assets.c.generation_id).outerjoin(
            imports, imports.c.asset_id == assets.c.id
        )
        columns = [generations.c[name] for name in ("prompt_folded", "model", "style", "aspect_ratio")]
        columns += [generations.c.operation, generations.c.batch_id]
        statement = select(
            *assets.c, *columns, generations.c.tags.label("ordered"), imports.c.tags.label("imported")
        ).select_from(joined)
        held = set(tx.execute(select(collection_assets.c.asset_id)).scalars())
        rows = []
        for row in tx.execute(statement.order_by(assets.c.id.desc())):
            seen = dict(row._mapping)
            seen["tags"] = (seen["ordered"] or []) + (seen["imported"] or [])
            seen["collected"] = seen["id"] in held
            rows.append(seen)
        return rows

    return Shelf(database, await database.write(story))


def _disturb(tx: Transaction, ids: list[str]) -> None:
    def change(some: list[str], **values: Any) -> None:
        for each in some:
            tx.execute(update(assets).where(assets.c.id == each).values(**values))

    change(ids[3::17], favourite_at=NEWEST)
    change(ids[5::19], deleted_at=NEWEST)
    change(ids[5::38], purged_at=NEWEST)
    change(ids[7::23], state="failed")
    change(ids[8::29], state="arriving", width=None, height=None)
    for number, asset_id in enumerate(ids[2::31]):
        at = datetime.fromtimestamp(int(asset_id[:8] + asset_id[9:13], 16) / 1000, UTC)
        upload = new_id(int(at.timestamp() * 1000))
        row = {"id": upload, "account_id": ACCOUNT, "state": "ready", "width": 40, "height": 30}
        tx.execute(insert(assets).values(created_at=at, favourite_at=at if number % 2 else None, **row))
        imported = {"account_id": ACCOUNT, "source_hash": upload, "source": upload, "metadata_": {}}
        tags = ["spring", "b"] if number % 2 else []
        tx.execute(insert(imports).values(asset_id=upload, tags=tags, created_at=at, **imported))
    tx.execute(insert(collections).values(id="c" * 36, account_id=ACCOUNT, name="c", created_at=NEWEST))
    for asset_id in ids[1::9]:
        tx.execute(
            insert(collection_assets).values(collection_id="c" * 36, asset_id=asset_id, added_at=NEWEST)
        )
    batched = select(generations.c.id).order_by(generations.c.id).limit(20)
    chosen = list(tx.execute(batched).scalars())
    for each in chosen:
        tx.execute(update(generations).where(generations.c.id == each).values(batch_id="b" * 36))


EVERY = (
    Filters(),
    Filters(uploads=True),
    Filters(uploads=None),
    Filters(deleted=True),
    Filters(deleted=True, uploads=None),
    Filters(state=AssetState.FAILED),
    Filters(state=AssetState.ARRIVING),
    Filters(favourite=True, uploads=None),
    Filters(tag="spring"),
    Filters(tag="spring", uploads=None),
    Filters(tag="spring", uploads=True),
    Filters(tag="spring'"),
    Filters(words=words("FÜCHSIN schnee")),
    Filters(words=words("μια")),
    Filters(words=words("100% ripe")),
    Filters(words=words("paper_")),
    Filters(words=words("c:\\")),
    Filters(words=words("狐")),
    Filters(words=words("nowhere")),
    Filters(model="google/gemini-flash-image"),
    Filters(style="3d", aspect_ratio="1:1"),
    Filters(operation="upscale"),
    Filters(seed=12),
    Filters(batch_id="b" * 36),
    Filters(batch_id="b" * 36, words=words("fog")),
    Filters(collection_id="c" * 36, uploads=None),
    Filters(collection_id="c" * 36, words=words("a"), style="realistic"),
    Filters(from_ms=day_start(date(2026, 2, 10), 60), end_ms=day_end(date(2026, 2, 20), 60)),
    Filters(from_ms=day_start(date(1, 1, 1), 840), end_ms=day_end(date(9999, 12, 31), -840)),
)


@pytest.mark.slow
async def test_every_filter_alone_and_together(shelf: Shelf) -> None:
    sizes = []
    for wanted in EVERY:
        expected = [row["id"] for row in shelf.fitting(wanted)]
        sizes.append(len(expected))
        assert await shelf.ids(wanted, limit=COUNT * 2) == expected, wanted
        told = await shelf.gallery.timeline(ACCOUNT, wanted, 60)
        assert told["total"] == len(expected) == sum(each["count"] for each in told["sections"]), wanted
        days = Counter(day_of(each, 60).isoformat() for each in expected)
        assert {each["date"]: each["count"] for each in told["sections"]} == days, wanted
        assert [each["date"] for each in told["sections"]] == sorted(days, reverse=True)
        ratios = [ratio for each in told["sections"] for ratio in each["ratios"]]
        assert ratios == [
            round(row["width"] / row["height"], 2) if row["width"] else 1 for row in shelf.fitting(wanted)
        ]
    assert sum(size > 0 for size in sizes) >= len(EVERY) - 3, "most of them find something"
    assert await shelf.gallery.timeline("somebody else", Filters(uploads=None), 0) == {
        "object": "timeline", "total": 0, "newest": None, "sections": [],
    }  # fmt: skip


async def test_facets(shelf: Shelf) -> None:
    fields = {
        "model": "models",
        "style": "styles",
        "aspect_ratio": "aspect_ratios",
        "operation": "operations",
    }
    for wanted in EVERY:
        told = await shelf.gallery.facets(ACCOUNT, wanted)
        for field, name in fields.items():
            rows = shelf.fitting(replace(wanted, **{field: None}))
            counts = Counter(row[field] for row in rows if row[field] is not None)
            assert {each["name"]: each["count"] for each in told[name]} == counts, (wanted, field)
            found = [each["count"] for each in told[name]]
            assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("tz", [-690, 0, 845 - 5])
async def test_places_of_a_timeline_lead_to_its_pictures(shelf: Shelf, tz: int) -> None:
    whole = await shelf.ids(Filters(), limit=COUNT)
    told = await shelf.gallery.timeline(ACCOUNT, Filters(), tz)
    assert told["newest"] == whole[0]
    at = 0
    for section in told["sections"]:
        day = date.fromisoformat(section["date"])
        mine = whole[at : at + section["count"]]
        assert await shelf.ids(Filters(), Place(day=day, tz=tz)) == mine
        offset = section["count"] // 2
        assert await shelf.ids(Filters(), Place(day=day, tz=tz, offset=offset)) == mine[offset:]
        assert await shelf.ids(Filters(), Place(day=day, tz=tz, offset=section["count"])) == []
        beyond = Place(day=day, tz=tz, offset=offset, beyond=True)
        assert await shelf.ids(Filters(), beyond, limit=40) == whole[at + offset : at + offset + 40]
        at += section["count"]
    assert at == len(whole)


async def test_new_pictures_do_not_move_the_places_of_older_ones(shelf: Shelf) -> None:
    told = await shelf.gallery.timeline(ACCOUNT, Filters(), 0)
    day = date.fromisoformat(told["sections"][0]["date"])
    before = Place(day=day, offset=2, beyond=True, until=told["newest"])
    seen = await shelf.ids(Filters(), before, limit=20)
    await fill(shelf.database, ACCOUNT, 5, newest=NEWEST + timedelta(minutes=5), days=0, seed=9)
    assert await shelf.ids(Filters(), before, limit=20) == seen
    assert await shelf.ids(Filters(), replace(before, until=None), limit=20) != seen
    later = await shelf.gallery.timeline(ACCOUNT, Filters(), 0)
    assert later["total"] == told["total"] + 5


def test_days_and_ids() -> None:
    at = datetime(2026, 3, 1, 23, 30, 0, 5000, tzinfo=UTC)
    made = new_id(int(at.timestamp() * 1000))
    assert day_of(made, 0) == date(2026, 3, 1)
    assert day_of(made, 30) == date(2026, 3, 2)
    assert day_of(made, 29) == date(2026, 3, 1)
    assert day_of(made, -840) == date(2026, 3, 1)
    ms = int(at.timestamp() * 1000)
    assert lowest_id(ms) < made < lowest_id(ms + 1)
    for tz in (-840, -1, 0, 90, 840):
        for day in (date(2026, 3, 1), date(2024, 2, 29)):
            assert day_of(new_id(day_start(day, tz)), tz) == day
            assert day_of(new_id(day_end(day, tz) - 1), tz) == day
            assert day_of(new_id(day_end(day, tz)), tz) == day + timedelta(days=1)
    assert day_start(date(1, 1, 1), 0) == day_end(date(1969, 12, 31), 0) == 0
    assert len(lowest_id(day_end(date(9999, 12, 31), -840))) == 36


@pytest.mark.parametrize(
    ("one", "other"),
    [("STRASSE", "straße"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ﬁre", "FIRE"), ("Cafe\u0301", "CAFÉ"), ("ＡＢ", "ab")],
)
def test_words_are_the_same_in_any_case(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert folded(folded(one)) == folded(one)


def test_words_of_a_search() -> None:
    assert words("  Red\u00a0FOX\tred ") == ("red", "fox")
    assert words("") == ()
