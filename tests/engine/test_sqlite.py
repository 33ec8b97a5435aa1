"""The embedded engine passes the suites, and stays fast when there is much to look at."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sqlalchemy import Executable, create_engine
from sqlalchemy.dialects import sqlite as dialect

from ferrotype.db.database import Transaction
from ferrotype.db.migrate import upgrade
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.states import JobState
from ferrotype.engine import statements as sql
from ferrotype.engine.base import OnFailed
from ferrotype.engine.claims import Claim, claim
from ferrotype.engine.sqlite import SqliteEngine

from .conformance import Conformance
from .machine import job_machine
from .rig import CLASSES, LEASE_SECONDS, Rig


class SqliteRig:
    def __init__(self, path: Path) -> None:
        self.database = SqliteDatabase(path)
        self.clock = ManualClock()
        self._patch = pytest.MonkeyPatch()

    def engine(
        self,
        classes: Mapping[str, int] = CLASSES,
        *,
        owner: str = "here",
        on_failed: OnFailed | None = None,
    ) -> SqliteEngine:
        return SqliteEngine(
            self.database, self.clock, classes, owner=owner, lease_seconds=LEASE_SECONDS, on_failed=on_failed
        )

    def no_safety_net(self) -> None:
        self._patch.setattr("ferrotype.engine.wakeup.NET_SECONDS", 86_400.0)

    def victim(self, class_: str) -> list[str]:
        script = Path(__file__).with_name("victim.py")
        now = self.clock.now().isoformat()
        return [sys.executable, str(script), str(self.database.path), class_, now, str(LEASE_SECONDS)]

    async def close(self) -> None:
        self._patch.undo()
        await self.database.close()


@cache
def empty_database() -> bytes:
    """A migrated file, copied for each test."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/empty.db")
        with engine.begin() as connection:
            upgrade(connection)
        engine.dispose()
        return Path(folder, "empty.db").read_bytes()


@asynccontextmanager
async def open_rig() -> AsyncIterator[SqliteRig]:
    folder = Path(tempfile.mkdtemp(prefix="ferrotype-engine-"))
    (folder / "test.db").write_bytes(empty_database())
    rig = SqliteRig(folder / "test.db")
    try:
        yield rig
    finally:
        await rig.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def fresh() -> Callable[[], AbstractAsyncContextManager[Rig]]:
    return open_rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with open_rig() as made:
        yield made


class TestConformance(Conformance):
    pass


TestJobs = job_machine(open_rig).TestCase
TestJobs.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def plan(tx: Transaction, statement: Executable) -> list[str]:
    """How SQLite will run it, one line a step."""
    text = str(statement.compile(dialect=dialect.dialect()))  # type: ignore[attr-defined]
    text = re.sub(r"\(?__\[POSTCOMPILE_\w+\]\)?", "(1)", text)
    rows = tx.connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, (1,) * text.count("?"))
    return [str(row[-1]) for row in rows]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sql.CANDIDATES, "ix_jobs_claim (class=? AND priority<?)"),
        (sql.candidates_of(frozenset({"generate", "store"})), "ix_jobs_claim (class=? AND priority<?)"),
        (sql.WAITING, "ix_jobs_claim (class>?)"),
        (sql.WAITING, "ix_jobs_leased (class=?)"),
        (sql.PROMOTE, "ix_jobs_delayed (not_before>? AND not_before<?)"),
        (sql.NEXT_DUE, "ix_jobs_delayed"),
        (sql.LEASED, "ix_jobs_leased"),
        (sql.COUNT_QUEUED, "ix_jobs_claim"),
        (sql.COUNT_RUNNING, "ix_jobs_leased"),
        (sql.COUNT_BEFORE, "ix_jobs_claim (class=? AND (priority,start_tag,id)<(?,?,?))"),
        (sql.PURGE, "sqlite_autoindex_jobs_1 (id>? AND id<?)"),
    ],
)
async def test_statements_use_their_index_and_sort_nothing(
    rig: SqliteRig, statement: Executable, index: str
) -> None:
    steps = await rig.database.read(lambda tx: plan(tx, statement))
    assert any(index in step for step in steps), steps
    assert not [step for step in steps if "TEMP B-TREE" in step or re.fullmatch(r"SCAN jobs", step)]


def work_of_a_claim(tx: Transaction, story: Callable[[], Any]) -> int:
    """How many hundreds of SQLite's own instructions it takes: the same on every machine."""
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    driver: Any = tx.connection.connection.driver_connection
    driver.set_progress_handler(tick, 100)
    story()
    driver.set_progress_handler(None, 0)
    return ticks


async def test_a_claim_costs_the_same_however_many_wait(rig: SqliteRig) -> None:
    engine = rig.engine()
    now = rig.clock.now()
    asked = Claim(3, None, CLASSES, "here", now, now + timedelta(seconds=30))
    template = {
        "kind": "work", "account_id": "ada", "payload": {}, "max_starts": 5, "created_at": now,
        "start_tag": 0.0, "priority": 0, "class_": "light", "not_before": None,
    }  # fmt: skip

    async def cost() -> int:
        def story(tx: Transaction) -> int:
            work = work_of_a_claim(tx, lambda: found.extend(claim(tx, asked).leases))
            for lease in found:
                engine.finish(tx, lease, JobState.SUCCEEDED)
            return work

        found: list[Any] = []
        work = await rig.database.write(story)
        assert len(found) == 3
        return work

    async def fill(prefix: str, **changed: Any) -> None:
        rows = [{**template, "id": f"{prefix}{number}", **changed} for number in range(20_000)]
        await rig.database.write(lambda tx: tx.execute(sql.INSERT, rows))

    await rig.database.write(
        lambda tx: tx.execute(
            sql.INSERT,
            [{**template, "id": f"few{n}", "state": "queued", "start_tag": -1.0} for n in range(9)],
        )
    )
    few = await cost()
    await fill("ended", state="succeeded")
    await fill("queued", state="queued")
    await fill("delayed", state="queued", priority=sql.PARKED, not_before=now + timedelta(days=1))
    assert await cost() <= few + 2
