"""What only the SQLite database does: a writer of its own, group commit, durability by story."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from ferrotype.db.database import Transaction
from ferrotype.db.sqlite import MAX_BATCH, SqliteDatabase

from .test_stories import account, names


class Held:
    """Keeps the writer busy, so that what is handed over meanwhile forms one batch."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._free = threading.Event()

    async def __aenter__(self) -> None:
        began = asyncio.Event()
        loop = asyncio.get_running_loop()

        def story(tx: Transaction) -> None:
            loop.call_soon_threadsafe(began.set)
            self._free.wait()

        self._writing = asyncio.create_task(self._database.write(story))
        await began.wait()

    async def __aexit__(self, *_: object) -> None:
        self._free.set()
        await self._writing


async def one_batch(
    database: SqliteDatabase, *stories: Callable[[Transaction], Any], durable: bool = True
) -> list[Any]:
    """The outcomes of the stories, committed together."""
    async with Held(database):
        tasks = [asyncio.create_task(database.write(story, durable=durable)) for story in stories]
        await asyncio.sleep(0)  # each task hands its story over in its first step
    return await asyncio.gather(*tasks, return_exceptions=True)


def fails(tx: Transaction) -> None:
    account("lost")(tx)
    raise LookupError("on purpose")


async def test_stories_that_wait_are_committed_together(sqlite: SqliteDatabase) -> None:
    commits: list[str] = []

    def watched(name: str) -> Callable[[Transaction], None]:
        def story(tx: Transaction) -> None:
            if not commits:
                tx.connection.connection.driver_connection.set_trace_callback(commits.append)
            account(name)(tx)

        return story

    await one_batch(sqlite, *(watched(f"a{number}") for number in range(20)))
    assert await sqlite.read(names) == {f"a{number}" for number in range(20)}
    assert [statement for statement in commits if statement.startswith("COMMIT")] == ["COMMIT"]


async def test_a_failing_story_hurts_nobody_else_in_its_batch(sqlite: SqliteDatabase) -> None:
    first, failed, twin, last = await one_batch(sqlite, account("ada"), fails, account("ada"), account("bob"))
    assert isinstance(failed, LookupError)
    assert "UNIQUE" in str(twin)
    assert isinstance(first, str)
    assert isinstance(last, str)
    assert await sqlite.read(names) == {"ada", "bob"}


async def test_each_story_sees_those_before_it_in_the_batch(sqlite: SqliteDatabase) -> None:
    _, seen = await one_batch(sqlite, account("ada"), names)
    assert seen == {"ada"}


async def test_callbacks_come_in_the_order_of_the_commits(sqlite: SqliteDatabase) -> None:
    heard: list[int] = []

    def numbered(number: int) -> Callable[[Transaction], None]:
        return lambda tx: tx.on_commit(lambda: heard.append(number))

    await one_batch(sqlite, *(numbered(number) for number in range(2 * MAX_BATCH)))
    assert heard == list(range(2 * MAX_BATCH))


async def test_a_callback_that_raises_hurts_nobody(sqlite: SqliteDatabase) -> None:
    heard: list[str] = []

    def bad(tx: Transaction) -> str:
        tx.on_commit(lambda: 1 // 0)
        tx.on_commit(lambda: heard.append("same story"))
        return "result"

    results = await one_batch(sqlite, bad, lambda tx: tx.on_commit(lambda: heard.append("next story")))
    assert results == ["result", None]
    assert heard == ["same story", "next story"]


async def test_a_transaction_that_sqlite_ended_fails_the_whole_batch(sqlite: SqliteDatabase) -> None:
    """As with a full disk: SQLite rolls back by itself, and the driver's commit would say nothing."""

    def rolled_back(tx: Transaction) -> None:
        tx.connection.connection.driver_connection.execute("ROLLBACK")

    outcomes = await one_batch(sqlite, account("ada"), rolled_back, account("bob"))
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert await sqlite.read(names) == set()
    with pytest.raises(RuntimeError, match="by itself"):
        await sqlite.write(rolled_back)
    await sqlite.write(account("after"))
    assert await sqlite.read(names) == {"after"}


async def test_a_story_that_raises_stop_iteration_still_answers(sqlite: SqliteDatabase) -> None:
    def story(tx: Transaction) -> None:
        raise StopIteration

    outcomes = await one_batch(sqlite, story, account("ada"))
    assert isinstance(outcomes[0], RuntimeError)
    assert await sqlite.read(names) == {"ada"}


async def test_a_caller_canceled_in_the_queue_is_written_all_the_same(sqlite: SqliteDatabase) -> None:
    async with Held(sqlite):
        writing = asyncio.create_task(sqlite.write(account("ada")))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    await sqlite.write(account("bob"))
    assert await sqlite.read(names) == {"ada", "bob"}


async def test_readers_see_what_was_committed_and_no_more(sqlite: SqliteDatabase) -> None:
    began, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    await sqlite.write(account("ada"))

    def story(tx: Transaction) -> None:
        account("bob")(tx)
        loop.call_soon_threadsafe(began.set)
        may_end.wait()

    writing = asyncio.create_task(sqlite.write(story))
    await began.wait()
    assert await sqlite.read(names) == {"ada"}
    may_end.set()
    await writing
    assert await sqlite.read(names) == {"ada", "bob"}


def synchronous(tx: Transaction) -> int:
    return int(tx.connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


async def test_only_durable_stories_wait_for_the_disk(sqlite: SqliteDatabase) -> None:
    full, normal = 2, 1
    assert await sqlite.write(synchronous) == full
    assert await sqlite.write(synchronous, durable=False) == normal
    assert await sqlite.write(synchronous) == full


async def test_one_durable_story_makes_its_batch_durable(sqlite: SqliteDatabase) -> None:
    async with Held(sqlite):
        loose = asyncio.create_task(sqlite.write(synchronous, durable=False))
        durable = asyncio.create_task(sqlite.write(synchronous))
        await asyncio.sleep(0)
    assert (await loose, await durable) == (2, 2)
    assert await one_batch(sqlite, synchronous, synchronous, durable=False) == [1, 1]


async def test_closing_finishes_what_was_handed_over(sqlite: SqliteDatabase) -> None:
    async with Held(sqlite):
        tasks = [asyncio.create_task(sqlite.write(account(f"a{number}"))) for number in range(200)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(sqlite.close())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="closed"):
            await sqlite.write(account("late"))
    await closing
    await asyncio.gather(*tasks)
    with sqlite3.connect(sqlite.path) as connection:
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (200,)
    connection.close()


async def test_a_database_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="unable to open"):
        SqliteDatabase(tmp_path / "missing" / "test.db")
