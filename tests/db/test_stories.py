"""What a story may rely on, on every database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import accounts
from ferrotype.domain.ids import new_id

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def account(name: str, created_at: datetime = NOW, available: int = 0) -> Callable[[Transaction], str]:
    """A story that adds an account; its id."""

    def story(tx: Transaction) -> str:
        account_id = new_id()
        tx.execute(
            insert(accounts).values(id=account_id, name=name, available=available, created_at=created_at)
        )
        return account_id

    return story


def names(tx: Transaction) -> set[str]:
    return set(tx.execute(select(accounts.c.name)).scalars())


async def test_a_story_commits_and_gives_its_result(database: Database) -> None:
    account_id = await database.write(account("ada"))
    stored = await database.read(lambda tx: tx.execute(select(accounts.c.id)).scalar_one())
    assert stored == account_id


async def test_a_story_that_raises_leaves_nothing(database: Database) -> None:
    def story(tx: Transaction) -> None:
        account("ada")(tx)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await database.write(story)
    assert await database.read(names) == set()
    await database.write(account("bob"))
    assert await database.read(names) == {"bob"}


async def test_callbacks_run_in_order_on_the_loop_after_the_commit(database: Database) -> None:
    heard: list[object] = []

    def story(tx: Transaction) -> None:
        account("ada")(tx)
        for number in (1, 2):
            tx.on_commit(lambda number=number: heard.append((number, threading.get_ident())))
        tx.on_commit(lambda: heard.append(asyncio.get_running_loop()))

    await database.write(story)
    here = threading.get_ident()
    assert heard == [(1, here), (2, here), asyncio.get_running_loop()]


async def test_what_a_callback_tells_can_be_read(database: Database) -> None:
    told = asyncio.Event()

    def story(tx: Transaction) -> None:
        account("ada")(tx)
        tx.on_commit(told.set)

    writing = asyncio.create_task(database.write(story))
    await told.wait()
    assert await database.read(names) == {"ada"}
    await writing


async def test_callbacks_of_a_story_rolled_back_never_run(database: Database) -> None:
    heard: list[str] = []

    def story(tx: Transaction) -> None:
        tx.on_commit(lambda: heard.append("ran"))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(story)
    await database.write(account("after"))
    assert heard == []


async def test_a_canceled_caller_does_not_stop_the_story(database: Database) -> None:
    began, may_end, committed = asyncio.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    postgres = database.__class__.__name__ == "PostgresDatabase"

    def story(tx: Transaction) -> None:
        account("ada")(tx)
        loop.call_soon_threadsafe(began.set)
        if not postgres:  # there the story runs on the loop itself
            may_end.wait()
        tx.on_commit(committed.set)

    writing = asyncio.create_task(database.write(story))
    await began.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    may_end.set()
    await committed.wait()
    assert await database.read(names) == {"ada"}


async def test_many_stories_at_once_each_count(database: Database) -> None:
    account_id = await database.write(account("ada"))

    def earn(tx: Transaction) -> None:
        tx.execute(update(accounts).values(available=accounts.c.available + 1))

    await asyncio.gather(*(database.write(earn) for _ in range(60)))
    total = select(accounts.c.available).where(accounts.c.id == account_id)
    assert await database.read(lambda tx: tx.execute(total).scalar_one()) == 60


async def test_a_negative_balance_is_refused_by_the_database(database: Database) -> None:
    await database.write(account("ada", available=3))
    spend = update(accounts).values(available=accounts.c.available - 4)
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: tx.execute(spend))
    left = await database.read(lambda tx: tx.execute(select(func.sum(accounts.c.available))).scalar_one())
    assert left == 3


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        NOW.replace(microsecond=0),
        datetime(2026, 3, 1, 23, 0, tzinfo=timezone(timedelta(hours=-5))),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
)
async def test_a_moment_comes_back_as_the_same_instant_in_utc(database: Database, moment: datetime) -> None:
    await database.write(account("ada", created_at=moment))
    back = await database.read(lambda tx: tx.execute(select(accounts.c.created_at)).scalar_one())
    assert back == moment
    assert back.utcoffset() == timedelta(0)


async def test_moments_sort_by_time_whatever_their_zone(database: Database) -> None:
    east = datetime(2026, 1, 1, 3, 0, tzinfo=timezone(timedelta(hours=9)))  # 18:00 UTC the day before
    for name, moment in {
        "third": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "first": east,
        "second": datetime(2026, 1, 1, tzinfo=UTC),
    }.items():
        await database.write(account(name, created_at=moment))
    ordered = select(accounts.c.name).order_by(accounts.c.created_at)
    found = await database.read(lambda tx: list(tx.execute(ordered).scalars()))
    assert found == ["first", "second", "third"]
    later = select(accounts.c.name).where(accounts.c.created_at > datetime(2026, 1, 1, tzinfo=UTC))
    assert await database.read(lambda tx: list(tx.execute(later).scalars())) == ["third"]


async def test_a_naive_datetime_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="naive"):
        await database.write(account("ada", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001
