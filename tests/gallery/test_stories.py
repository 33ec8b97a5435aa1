"""Collections, shares and the account on both databases: SQLite and a real Postgres."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from ferrotype.db import accounts
from ferrotype.db.database import Database
from ferrotype.db.schema import assets
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import Gone, NameTaken, NotFound
from ferrotype.services.collections import Collections
from ferrotype.services.shares import Shares
from tests.databases import open_account
from tests.gallery.many import fill

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "ada"
OTHER = "eve"


@pytest.fixture
async def ids(database: Database) -> list[str]:
    """Pictures, newest first."""
    await open_account(database, ACCOUNT, NOW)
    return await fill(database, ACCOUNT, 12, newest=NOW, days=2)


async def test_collections(database: Database, ids: list[str]) -> None:
    stories = Collections(database, ManualClock(NOW))
    made = await stories.create(ACCOUNT, "Füchse", "")
    again = await asyncio.gather(
        *(stories.create(ACCOUNT, "owls", "") for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(each, NameTaken) for each in again) == 3, "one of many at once has the name"
    with pytest.raises(NameTaken):
        await stories.rename(made["id"], ACCOUNT, "owls", "")
    assert (await stories.rename(made["id"], ACCOUNT, "foxes", ""))["name"] == "foxes"
    assert await stories.put(made["id"], ACCOUNT, [*ids[3:9], "x", ids[3]]) == (ids[3:9], ["x"])
    assert await stories.put(made["id"], ACCOUNT, ids[8:10]) == (ids[8:10], [])
    deleted = update(assets).where(assets.c.id == ids[3]).values(deleted_at=NOW)
    arriving = update(assets).where(assets.c.id == ids[4]).values(state="arriving")
    for statement in (deleted, arriving):
        await database.write(lambda tx, statement=statement: tx.execute(statement))  # type: ignore[misc]
    shown = await stories.show(made["id"], ACCOUNT, "")
    assert (shown["count"], shown["cover"]["id"]) == (6, ids[5]), "the cover is there, and stands"
    assert await stories.take(made["id"], ACCOUNT, ids[8:]) == (ids[8:10], ids[10:])
    assert (await stories.show(made["id"], ACCOUNT, ""))["count"] == 4
    data, more = await stories.page(ACCOUNT, 1, None, "")
    assert [each["name"] for each in data] == ["owls"]
    data, more = await stories.page(ACCOUNT, 1, more, "")
    assert ([each["name"] for each in data], more) == (["foxes"], None)
    for attempt in (
        stories.show(made["id"], OTHER, ""),
        stories.rename(made["id"], OTHER, "mine", ""),
        stories.put(made["id"], OTHER, ids),
        stories.take(made["id"], OTHER, ids),
        stories.remove(made["id"], OTHER),
    ):
        with pytest.raises(NotFound):
            await attempt
    await stories.remove(made["id"], ACCOUNT)
    assert [each["name"] for each in (await stories.page(ACCOUNT, 9, None, ""))[0]] == ["owls"]


async def test_shares(database: Database, ids: list[str]) -> None:
    clock = ManualClock(NOW)
    stories = Shares(database, clock)
    made = await stories.create(ACCOUNT, ids[2:5], "https://here", expires_in=60, show_prompt=True)
    assert made["url"] == f"https://here/s/{made['id']}"
    assert made["expires_at"] == "2026-03-01T12:01:00.000Z"
    shown = await stories.open(made["id"])
    assert [each.asset.id for each in shown.pictures] == ids[2:5]
    assert all(each.prompt for each in shown.pictures)
    for attempt in (stories.show(made["id"], OTHER, ""), stories.revoke(made["id"], OTHER)):
        with pytest.raises(NotFound):
            await attempt
    clock.advance(59.9)
    await stories.open(made["id"])
    clock.advance(0.1)
    with pytest.raises(Gone):
        await stories.open(made["id"])
    lasting = await stories.create(ACCOUNT, ids[:1], "")
    assert (await stories.open(lasting["id"])).pictures[0].prompt is None
    await stories.revoke(lasting["id"], ACCOUNT)
    first = (await stories.show(lasting["id"], ACCOUNT, ""))["revoked_at"]
    clock.advance(5)
    await stories.revoke(lasting["id"], ACCOUNT)
    assert (await stories.show(lasting["id"], ACCOUNT, ""))["revoked_at"] == first
    with pytest.raises(Gone):
        await stories.open(lasting["id"])
    data, more = await stories.page(ACCOUNT, 1, None, "")
    assert len(data) == 1
    rest, end = await stories.page(ACCOUNT, 1, more, "")
    assert ({data[0]["id"], rest[0]["id"]}, end) == ({made["id"], lasting["id"]}, None)
    with pytest.raises(NotFound):
        await stories.create(OTHER, ids[:1], "")


async def test_an_account(database: Database, ids: list[str]) -> None:
    found = await database.read(lambda tx: accounts.get(tx, ACCOUNT))
    assert (found.id, found.name, found.available, found.held, found.spent) == (ACCOUNT, "ada", 0, 0, 0)
