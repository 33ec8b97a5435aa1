"""However turns, endings, refusals and cancels follow each other, a batch's books balance, and it ends
exactly when nothing is left to come: a real database, every transaction the service's own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ferrotype.db import batches, generations, journal, ledger
from ferrotype.db.database import Transaction
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.batch import Batch, BatchItem, ItemState
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.ledger import EntryKind
from ferrotype.domain.problems import InvalidField
from ferrotype.domain.states import BATCH, BatchState, GenerationState
from ferrotype.engine.base import Lease
from ferrotype.engine.sqlite import SqliteEngine
from ferrotype.events.memory import MemoryEventBus
from ferrotype.services import credits
from ferrotype.services.admit_batch import fan_out_job
from ferrotype.services.batch_life import BatchLife
from ferrotype.services.cancel_batch import CancelBatch
from ferrotype.services.fan_out import FanOut
from ferrotype.services.journal import Journal
from tests.databases import migrated

T = TypeVar("T")
GRANT, PRICE = 1_000, 3


@dataclass(frozen=True)
class _Prepared:
    """Of `Prepared` what a turn reads."""

    generation: Generation


class Placing:
    """Takes the place of `Admit`: writes a generation with its hold, as that does, and no jobs."""

    def __init__(self, database: SqliteDatabase, events: Journal) -> None:
        self._database, self._journal = database, events

    def place(self, tx: Transaction, prepared: _Prepared, _: list[Lease]) -> None:
        generation = prepared.generation
        generations.add(tx, generation)
        credits.hold(tx, generation, generation.created_at)
        self._journal.record(tx, "queued", generation.id, position=None)

    async def write(self, story: Callable[[Transaction, list[Lease]], T]) -> T:
        return await self._database.write(lambda tx: story(tx, []))


class Ends:
    """Takes the place of `Cancel`: a generation ends here and now."""

    def __init__(self, books: BatchBooks) -> None:
        self._books = books

    def within(self, tx: Transaction, generation_id: str) -> None:
        generation = generations.get(tx, generation_id)
        assert generation is not None
        self._books.end_in(tx, generation, GenerationState.CANCELED)


class BatchBooks(RuleBasedStateMachine):
    """A batch of up to 12 items of one picture each; none of them has its generation at first."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ferrotype-books-"))
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()

    def do(self, story: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(story)

    def read(self, story: Callable[[Transaction], T]) -> T:
        return self.do(self.database.read(story))

    @initialize(count=st.integers(1, 12))
    def order(self, count: int) -> None:
        self.count = count
        self.do(self._open())

    async def _open(self) -> None:
        path = self.folder / "test.db"
        await migrated(path)
        self.database = SqliteDatabase(path)
        self.events = Journal(MemoryEventBus(), self.clock)
        self.engine = SqliteEngine(self.database, self.clock, {"batch": 1}, owner="test", lease_seconds=3600)
        self.life = BatchLife(self.events, self.clock)
        self.life.follow()
        placing: Any = Placing(self.database, self.events)
        ends: Any = Ends(self)

        class Admitting:
            admit = placing

        admitting: Any = Admitting()
        self.fan_out = FanOut(self.database, self.engine, admitting, ends, self.life, self.clock)
        self.cancel_story = CancelBatch(self.database, self.engine, ends, self.life, self.clock)
        self.account = await credits.Accounts(self.database, self.clock).open_default(GRANT)
        batch = Batch(
            id=new_id(),
            account_id=self.account,
            status=BatchState.QUEUED,
            num_items=self.count,
            num_images=self.count,
            credits=self.count * PRICE,
            usd=0.0,
            priority=0,
            created_at=self.clock.now(),
        )
        self.batch_id = batch.id

        def story(tx: Transaction) -> None:
            items = [BatchItem(batch.id, n, ItemState.WAITING, {}, 1, PRICE) for n in range(self.count)]
            batches.add(tx, batch, items)
            self.events.record_of_batch(tx, "queued", batch, items=self.count)
            credits.hold_batch(tx, batch, self.count * PRICE, self.clock.now())
            self.engine.enqueue(tx, fan_out_job(batch))

        await self.database.write(story)
        (self.lease,) = await self.engine.claim(1)

    def batch(self) -> Batch:
        found = self.read(lambda tx: batches.get(tx, self.batch_id))
        assert found is not None
        return found

    def running(self) -> list[str]:
        return self.read(lambda tx: batches.open_ids(tx, self.batch_id, 100))

    @rule(count=st.integers(1, 5), data=st.data())
    def take_turn(self, count: int, data: st.DataObject) -> None:
        """The job's next turn; some of its items cannot be ordered any more."""
        turn: Any = []
        for item in self.read(lambda tx: batches.waiting(tx, self.batch_id, count)):
            if data.draw(st.integers(0, 4)) == 0:
                turn.append((item, InvalidField("It is gone.", field="image")))
            else:
                turn.append((item, _Prepared(self._generation(item.index))))
        if turn:
            self.do(self.fan_out._take_turn(self.lease, self.batch(), turn))

    def _generation(self, index: int) -> Generation:
        return Generation(
            id=new_id(),
            account_id=self.account,
            status=GenerationState.QUEUED,
            operation="generate",
            model="a/b",
            input={"prompt": "a fox"},
            num_images=1,
            class_="light",
            credits_each=PRICE,
            usd_each=0.0,
            created_at=self.clock.now(),
            batch_id=self.batch_id,
            batch_index=index,
        )

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        generation_id = data.draw(st.sampled_from(self.running()))

        def story(tx: Transaction) -> None:
            generation = generations.get(tx, generation_id)
            assert generation is not None
            if generation.status is GenerationState.QUEUED:
                generations.move(tx, generation, GenerationState.RUNNING, self.clock.now())
                self.events.record(tx, "started", generation_id)

        self.do(self.database.write(story))

    @precondition(lambda self: self.running())
    @rule(
        data=st.data(),
        ending=st.sampled_from([GenerationState.SUCCEEDED, GenerationState.FAILED, GenerationState.CANCELED]),
    )
    def end(self, data: st.DataObject, ending: GenerationState) -> None:
        generation_id = data.draw(st.sampled_from(self.running()))

        def story(tx: Transaction) -> None:
            generation = generations.get(tx, generation_id)
            assert generation is not None
            self.end_in(tx, generation, ending)

        self.do(self.database.write(story))

    def end_in(self, tx: Transaction, generation: Generation, ending: GenerationState) -> None:
        """As the stories do it: the money, the event, and then the row."""
        now = self.clock.now()
        kind = EntryKind.SETTLE if ending is GenerationState.SUCCEEDED else EntryKind.RELEASE
        ledger.write(tx, self.account, kind, PRICE, f"{kind}:{generation.id}", now, generation.id)
        failed = ending is GenerationState.FAILED
        error = InvalidField("It broke.").to_json() if failed else None
        self.events.record(tx, ending.value, generation.id, **({"error": error} if error else {}))
        generations.move(tx, generation, ending, now, error=error)

    @rule()
    def cancel(self) -> None:
        self.do(self.cancel_story(self.batch_id, self.account))

    @rule()
    def give_up(self) -> None:
        self.do(self.database.write(lambda tx: self.cancel_story.gave_up(tx, self.batch_id)))

    @invariant()
    def the_books_balance(self) -> None:
        if not hasattr(self, "lease"):
            return
        balance = self.read(lambda tx: ledger.balance(tx, self.account))
        assert balance == self.read(lambda tx: ledger.recount(tx, self.account))
        assert balance.available + balance.held + balance.spent == GRANT
        states = self.read(lambda tx: batches.states(tx, self.batch_id))
        statuses = self.read(lambda tx: batches.statuses(tx, self.batch_id))
        waiting, ordered = states.get(ItemState.WAITING, 0), states.get(ItemState.ORDERED, 0)
        assert sum(states.values()) == self.count
        assert sum(statuses.values()) == ordered
        assert balance.held == PRICE * (waiting + len(self.running()))
        assert balance.spent == PRICE * statuses.get(GenerationState.SUCCEEDED, 0)

    @invariant()
    def it_ends_with_the_last_of_it(self) -> None:
        if not hasattr(self, "lease"):
            return
        batch, running = self.batch(), self.running()
        waiting = self.read(lambda tx: batches.waiting(tx, self.batch_id, 1))
        assert BATCH.is_terminal(batch.status) == (not running and not waiting)
        statuses = self.read(lambda tx: batches.statuses(tx, self.batch_id))
        told = self.read(lambda tx: journal.after(tx, self.batch_id, 0, topic="batch"))
        own = [event.type for event in told if event.generation_id is None]
        assert own == list(dict.fromkeys(own))  # each once
        if not BATCH.is_terminal(batch.status):
            assert batch.completed_at is None
            return
        assert own[-1] == batch.status
        assert (batch.status is BatchState.SUCCEEDED) == (GenerationState.SUCCEEDED in statuses)
        if batch.status is BatchState.CANCELED:
            assert batch.cancel_requested or GenerationState.CANCELED in statuses
        refused = self.read(lambda tx: batches.states(tx, self.batch_id)).get(ItemState.REFUSED, 0)
        assert (batch.error is not None) == bool(refused or GenerationState.FAILED in statuses)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.do(self.database.close())
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


BatchBooks.TestCase.settings = settings(
    max_examples=6, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBatchBooks = BatchBooks.TestCase
