"""Statements about vectors of prompts, on every database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from ferrotype.db import assets, generations, prompts
from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import accounts
from ferrotype.domain.asset import Asset
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState, GenerationState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def generation(account_id: str, **facts: Any) -> Generation:
    wanted = {"status": GenerationState.SUCCEEDED, "reused_from": None, "input": {"prompt": "a fox"}} | facts
    return Generation(
        account_id=account_id,
        operation="generate",
        model="m/m",
        num_images=1,
        class_="light",
        credits_each=1,
        usd_each=0.0,
        created_at=NOW,
        **wanted,
    )


async def made(database: Database, *, name: str = "ada", count: int = 1, **facts: Any) -> list[Generation]:
    """Generations of a new account, oldest first."""
    account_id = new_id()
    found = [generation(account_id, id=new_id(1_000 + at), **facts) for at in range(count)]

    def story(tx: Transaction) -> None:
        tx.execute(insert(accounts).values(id=account_id, name=name, available=0, created_at=NOW))
        for each in found:
            generations.add(tx, each)

    await database.write(story)
    return found


def put(each: Generation, vector: bytes, embedder: str = "e") -> Callable[[Transaction], None]:
    return lambda tx: prompts.put(tx, each, embedder, "t" * 64, vector)


async def test_what_is_new_comes_behind_what_was_seen(database: Database) -> None:
    mine = await made(database, count=3)
    (theirs,) = await made(database, name="bob")
    for number, each in enumerate(mine):
        await database.write(put(each, bytes([number, 255])))
    await database.write(put(theirs, b"xx"))

    async def after(seen: int, most: int = 10) -> list[tuple[str, str, bytes]]:
        rows = await database.read(lambda tx: prompts.after(tx, mine[0].account_id, "e", seen, most))
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        return [(row[1], row[2], row[3]) for row in rows]

    everything = [(each.id, "t" * 64, bytes([number, 255])) for number, each in enumerate(mine)]
    assert await after(0) == everything
    assert await after(0, most=2) == everything[1:]
    last = (await database.read(lambda tx: prompts.after(tx, mine[0].account_id, "e", 0, 9)))[-1][0]
    assert await after(last) == []
    await database.write(put(mine[0], b"new"))  # in place of the old one, and new to who saw that
    assert await after(last) == [(mine[0].id, "t" * 64, b"new")]
    assert len(await after(0)) == 3
    await database.write(put(mine[1], b"other", embedder="f"))
    assert [name for name, _, _ in await after(0)] == [mine[2].id, mine[0].id]


async def test_a_number_is_never_given_twice(database: Database) -> None:
    first, second = await made(database, count=2)
    await database.write(put(first, b"1"))
    (before,) = await database.read(lambda tx: prompts.after(tx, first.account_id, "e", 0, 9))
    await database.write(lambda tx: prompts.forget_purged(tx, first.id))
    await database.write(put(second, b"2"))
    (after,) = await database.read(lambda tx: prompts.after(tx, first.account_id, "e", before[0], 9))
    assert after[1] == second.id


def picture(of: Generation, index: int = 0) -> Asset:
    return Asset(
        id=new_id(),
        account_id=of.account_id,
        state=AssetState.READY,
        generation_id=of.id,
        index=index,
        created_at=NOW,
    )


async def test_a_vector_stays_while_a_picture_has_bytes(database: Database) -> None:
    (mine,) = await made(database)
    pictures = [picture(mine, index) for index in range(2)]
    for each in pictures:
        await database.write(lambda tx, each=each: assets.add(tx, each))
    await database.write(put(mine, b"1"))
    for each, left in zip(pictures, (1, 0), strict=True):

        def story(tx: Transaction, each: Asset = each) -> None:
            assets.learn(tx, each.id, purged_at=NOW)
            prompts.forget_purged(tx, mine.id)

        await database.write(story)
        rows = await database.read(lambda tx: prompts.after(tx, mine.account_id, "e", 0, 9))
        assert len(rows) == left


async def test_those_without_a_vector_come_newest_first(database: Database) -> None:
    mine = await made(database, count=4)
    others = [
        *await made(database, name="failed", status=GenerationState.FAILED),
        *await made(database, name="follower", reused_from=mine[0].id),
        *await made(database, name="wordless", input={"prompt": "  "}),
        *await made(database, name="purged"),
    ]
    for each in [*mine, *others]:
        await database.write(lambda tx, each=each: assets.add(tx, picture(each)))
    purged = (await database.read(lambda tx: assets.of_generations(tx, [others[-1].id])))[others[-1].id]
    await database.write(lambda tx: assets.learn(tx, purged[0].id, purged_at=NOW))
    await made(database, name="without a picture")
    await database.write(put(mine[2], b"1"))

    async def without(before: str, most: int = 10, embedder: str = "e") -> list[str]:
        found = await database.read(lambda tx: prompts.without(tx, embedder, before, most))
        return [each.id for each in found]

    assert await without(NEWEST) == [mine[3].id, mine[1].id, mine[0].id]
    assert await without(NEWEST, most=2) == [mine[3].id, mine[1].id]
    assert await without(mine[1].id) == [mine[0].id]
    assert await without(NEWEST, embedder="f") == [each.id for each in reversed(mine)]
