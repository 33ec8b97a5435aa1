"""However deliveries, losses, failures and cancels follow each other, the books balance and the states obey
the tables: a real database, every transaction the service's own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ferrotype.db import assets, attempts, generations, ledger
from ferrotype.db.database import Transaction
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.asset import Asset, Origin
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.ledger import EntryKind
from ferrotype.domain.problems import OriginUnavailable, ProviderFailed
from ferrotype.domain.states import GENERATION, JOB, AssetState, AttemptState, GenerationState, JobState
from ferrotype.engine.base import Lease, NewJob
from ferrotype.engine.sqlite import SqliteEngine
from ferrotype.events.memory import MemoryEventBus
from ferrotype.net.telemetry import Telemetry
from ferrotype.providers.base import Finished
from ferrotype.services import credits
from ferrotype.services.arrive import Arrive
from ferrotype.services.cancel import Cancel
from ferrotype.services.conclude import JOBS, Conclude
from ferrotype.services.followers import Followers
from ferrotype.services.ingest import Ingest
from ferrotype.services.journal import Journal
from ferrotype.services.ready import Ready
from ferrotype.services.settings import RetentionSettings, ReuseSettings, ServiceSettings
from tests.databases import migrated

T = TypeVar("T")
GRANT = 1_000


class Nowhere:
    """Takes the place of the spool and of the arrivals: bytes are not what this is about."""

    def start(self, *_: object) -> None: ...

    async def remove(self, _: str) -> None: ...


class Books(RuleBasedStateMachine):
    """One generation with a job per picture; its price is 3 credits a picture."""

    reuse = ReuseSettings()
    routing: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ferrotype-books-"))
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.seen = [GenerationState.QUEUED]
        self.started = 0
        self.canceled = False
        self.arriving = False
        self.running: dict[int, tuple[Lease, Attempt]] = {}

    def do(self, story: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(story)

    @initialize(count=st.integers(1, 4))
    def admit(self, count: int) -> None:
        self.count = count
        self.do(self._open())

    async def _open(self) -> None:
        path = self.folder / "test.db"
        await migrated(path)
        self.database = SqliteDatabase(path)
        journal = Journal(MemoryEventBus(), self.clock)
        self.engine = SqliteEngine(self.database, self.clock, {"light": 10}, owner="test", lease_seconds=3600)
        self.followers = followers = Followers(
            self.engine,
            self.routing,
            journal,
            Telemetry(self.clock),
            self.clock,
            self.reuse,
            RetentionSettings(),
            max_starts=5,
        )
        self.conclude = Conclude(self.database, self.engine, journal, followers, self.clock)
        self.cancel_story = Cancel(self.database, self.engine, self.conclude, followers)
        self.journal = journal
        self.orders = ServiceSettings()
        self.ready = Ready(self.engine, journal, followers, self.clock, self.orders)
        self.ingest = Ingest(
            self.database,
            self.engine,
            Nowhere(),  # type: ignore[arg-type]
            Nowhere(),  # type: ignore[arg-type]
            journal,
            self.ready,
            self.clock,
            self.orders,
            RetentionSettings(),
            lambda *_: None,
        )
        self.arrive = Arrive(self.database, self.engine, None, journal, followers, self.ready, self.clock)  # type: ignore[arg-type]
        self.account = await credits.Accounts(self.database, self.clock).open_default(GRANT)
        generation = self.ordered()
        self.generation_id = generation.id

        def story(tx: Transaction) -> None:
            generations.add(tx, generation)
            credits.hold(tx, generation, self.clock.now())
            for first in range(self.count):
                payload = {"first": first, "count": 1}
                job = NewJob("generate", "light", self.account, self.generation_id, payload)
                self.engine.enqueue(tx, job)

        await self.database.write(story)

    def ordered(self) -> Generation:
        """A generation as its order makes it."""
        return Generation(
            id=new_id(),
            account_id=self.account,
            status=GenerationState.QUEUED,
            operation="generate",
            model="a/b",
            input={"seed": 1},
            num_images=self.count,
            class_="light",
            credits_each=3,
            usd_each=0.0,
            created_at=self.clock.now(),
        )

    def generation(self) -> Generation:
        found = self.do(self.database.read(lambda tx: generations.get(tx, self.generation_id)))
        assert found is not None
        return found

    def pictures(self) -> list[Asset]:
        read = self.database.read(lambda tx: assets.of_generations(tx, [self.generation_id]))
        return self.do(read)[self.generation_id]

    @precondition(lambda self: self.started < self.count and not self.canceled)
    @rule()
    def start(self) -> None:
        """The next job has a seat and its attempt is submitted."""
        self.do(self._start())

    async def _start(self) -> None:
        self.started += 1
        for lease in await self.engine.claim(1, ["generate"]):
            attempt = Attempt(
                new_id(), lease.job_id, self.generation_id, "x", "y", AttemptState.SUBMITTING, None,
                self.clock.now(),
            )  # fmt: skip

            def story(tx: Transaction, lease: Lease = lease, attempt: Attempt = attempt) -> Attempt:
                self.engine.fence(tx, lease)
                generation = generations.get(tx, self.generation_id, lock=True)
                assert generation is not None
                if generation.status is GenerationState.QUEUED:
                    generations.move(tx, generation, GenerationState.RUNNING, self.clock.now())
                attempts.add(tx, attempt)
                to = AttemptState.SUBMITTED
                return attempts.move(tx, attempt, to, self.clock.now(), request_id=attempt.id)

            self.running[lease.payload["first"]] = lease, await self.database.write(story)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), inline=st.booleans())
    def output(self, data: st.DataObject, inline: bool) -> None:
        """A running job's picture exists: its bytes are here, or they arrive later."""
        first = data.draw(st.sampled_from(sorted(self.running)))
        lease, _ = self.running[first]
        self.do(self.ingest.announce(lease, self.generation(), [self._picture(first, inline)]))

    def _picture(self, index: int, inline: bool) -> Asset:
        return Asset(
            id=new_id(),
            account_id=self.account,
            state=AssetState.READY if inline else AssetState.ARRIVING,
            generation_id=self.generation_id,
            index=index,
            origin=None if inline else Origin(provider="x", url="http://x/y"),
            created_at=self.clock.now(),
        )

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(["last", "succeeded", "failed", "canceled", "gave up"]))
    def end_job(self, data: st.DataObject, how: str) -> None:
        """A job ends; `last` and `succeeded` with and without a picture in the same transaction."""
        first = data.draw(st.sampled_from(sorted(self.running)))
        lease, attempt = self.running.pop(first)
        problem = ProviderFailed("boom")
        generation = self.generation()
        if how in ("last", "succeeded"):
            last = [self._picture(first, inline=data.draw(st.booleans()))] if how == "last" else []

            def announce(tx: Transaction) -> None:
                self.ingest.write(tx, generation, last)

            self.do(self.conclude.succeeded(lease, attempt, Finished(), announce, lambda made: 0.5 * made))
        elif how == "failed":
            self.do(self.conclude.failed(lease, attempt, problem))
        elif how == "canceled":
            self.do(self.conclude.canceled(lease, attempt))
        else:

            def story(tx: Transaction) -> None:
                self.engine.finish(tx, lease, JobState.FAILED, problem.to_json())
                self.conclude.gave_up(tx, lease.job_id, self.generation_id, lease.payload, problem.to_json())

            self.do(self.database.write(story))

    @precondition(lambda self: self.arriving)
    @rule(arrives=st.booleans(), data=st.data())
    def bytes_end(self, arrives: bool, data: st.DataObject) -> None:
        """The bytes of a picture that was on its way are here, or never will be."""
        waiting = [asset for asset in self.pictures() if asset.state is AssetState.ARRIVING]
        asset = data.draw(st.sampled_from(waiting))

        def story(tx: Transaction) -> None:
            generation = generations.get(tx, self.generation_id, lock=True)
            assert generation is not None
            if arrives:
                assets.move(tx, asset, AssetState.READY)
                self.ready(tx, generation, asset)
            else:
                self.arrive.lose(tx, asset, OriginUnavailable("gone").to_json())

        self.do(self.database.write(story))

    @precondition(lambda self: self.started and not self.canceled)
    @rule()
    def cancel(self) -> None:
        self.canceled = True
        self.do(self.cancel_story(self.generation_id, self.account))

    @precondition(lambda self: not self.running and not self.arriving)
    @rule()
    def rest(self) -> None:
        """Nothing happens; without it a run that has ended would have no rule left."""

    @invariant()
    def the_books_balance(self) -> None:
        if not hasattr(self, "database"):
            return
        balance = self.do(self.database.read(lambda tx: ledger.balance(tx, self.account)))
        assert balance == self.do(self.database.read(lambda tx: ledger.recount(tx, self.account)))
        moved = self.do(self.database.read(lambda tx: ledger.moved(tx, self.generation_id)))
        hold = moved[EntryKind.HOLD]
        gone = moved.get(EntryKind.SETTLE, 0) + moved.get(EntryKind.RELEASE, 0)
        assert hold == 3 * self.count
        assert balance.held == hold - gone >= 0
        assert balance.available + balance.held + balance.spent == GRANT
        pictures = self.pictures()
        assert balance.spent == 3 * sum(asset.state is AssetState.READY for asset in pictures)
        generation = self.generation()
        if generation.status is not self.seen[-1]:
            GENERATION.advance(self.seen[-1], generation.status)
            self.seen.append(generation.status)
        ended = {
            row.payload["first"]
            for row in self.do(self.database.read(lambda tx: tx.execute(JOBS, self._of()).all()))
            if row.state in JOB.terminal
        }
        # Held is what is still to be made and what is still on its way, and nothing else.
        made = {asset.index: asset.state for asset in pictures}
        open_ones = [i for i in range(self.count) if i not in ended and i not in made]
        self.arriving = AssetState.ARRIVING in made.values()
        arriving = [i for i, state in made.items() if state is AssetState.ARRIVING]
        assert balance.held == 3 * (len(open_ones) + len(arriving))
        standing = [i for i, state in made.items() if state is not AssetState.FAILED]
        assert GENERATION.is_terminal(generation.status) == (len(ended) == self.count)
        if GENERATION.is_terminal(generation.status):
            assert (generation.status is GenerationState.SUCCEEDED) == bool(standing)
            if generation.status is GenerationState.FAILED:
                assert generation.error is not None
            if len(standing) < len(made):  # whenever their bytes were lost
                assert "never arrived" in str(generation.error)

    def _of(self) -> dict[str, str]:
        return {"of_generation": self.generation_id}

    def teardown(self) -> None:
        with contextlib.suppress(AttributeError):
            self.do(self.database.close())
        self.loop.close()
        shutil.rmtree(self.folder)


Books.TestCase.settings = settings(
    max_examples=30, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBooks = Books.TestCase
