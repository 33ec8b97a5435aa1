"""SQLite: write-ahead log, one writer thread with group commit, a few reader threads."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import QueuePool

from ferrotype.db.database import Story
from ferrotype.db.direct import Direct, DirectTransaction

T = TypeVar("T")

#: Stories committed together at most; bounds how long the first of them waits for its commit.
MAX_BATCH: Final = 64
READERS: Final = 2

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Handed:
    """A story on its way to the writer, and then its outcome on the way back."""

    story: Story[Any]
    durable: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    callbacks: list[Callable[[], None]]
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """On the event loop: callbacks first, so that whoever awaits sees their effects."""
        if self.error is None:
            for callback in self.callbacks:
                try:
                    callback()
                except Exception:
                    log.exception("a callback after a commit failed")
        if self.future.done():
            return
        if isinstance(self.error, StopIteration):  # a future refuses it, and the rest would never be told
            self.future.set_exception(RuntimeError(f"a story raised {self.error!r}"))
        elif self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteDatabase:
    """A `Database` in one file, for one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        # The default pool would hand one connection to every thread; each thread here keeps its own.
        self._engine = create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=READERS + 1,
            connect_args={"check_same_thread": False, "cached_statements": 512},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._queue: queue.SimpleQueue[_Handed | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-read")
        # Opened here, so that a path that cannot be opened raises instead of leaving nobody to write.
        writing = self._engine.connect().execution_options(ferrotype_writer=True)
        self._writer = threading.Thread(
            target=self._write_loop, args=(writing,), name="db-write", daemon=True
        )
        self._writer.start()
        self._closed = False

    async def write(self, story: Story[T], *, durable: bool = True) -> T:
        if self._closed:
            raise RuntimeError("the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Handed(story, durable, loop, future, []))
        return await asyncio.shield(future)

    async def read(self, story: Story[T]) -> T:
        def run() -> T:
            with self._engine.connect() as connection, connection.begin():
                return story(DirectTransaction(connection, self._direct_of_reader()))

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _direct_of_reader(self) -> Direct:
        direct = getattr(self._local, "direct", None)
        if direct is None:
            direct = self._local.direct = Direct(self._engine.dialect)
        return direct

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    def _write_loop(self, writing: Connection) -> None:
        direct = Direct(self._engine.dialect)
        with writing as connection:
            while True:
                batch, more = self._next_batch()
                if batch:
                    _commit_together(connection, direct, batch)
                    _deliver(batch)
                if not more:
                    return

    def _next_batch(self) -> tuple[list[_Handed], bool]:
        batch: list[_Handed] = []
        handed = self._queue.get()
        while handed is not None:
            batch.append(handed)
            if len(batch) == MAX_BATCH:
                return batch, True
            try:
                handed = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False


def _commit_together(connection: Connection, direct: Direct, batch: list[_Handed]) -> None:
    """Run the batch in one transaction, each story in a savepoint of its own."""
    try:
        _set_durability(connection, any(handed.durable for handed in batch))
        with connection.begin():
            for handed in batch:
                tx = DirectTransaction(connection, direct)
                try:
                    # A savepoint costs two statements: a story alone is rolled back with everything.
                    if len(batch) == 1:
                        handed.result = handed.story(tx)
                    else:
                        with _savepoint(connection):
                            handed.result = handed.story(tx)
                    handed.callbacks = tx.callbacks
                except BaseException as error:
                    handed.error = error
                    if len(batch) == 1:
                        raise
                _still_open(connection)
    except BaseException as error:
        for handed in batch:
            handed.error = handed.error or error


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    """What `begin_nested` does, which compiles two statements for each of them."""
    driver: Any = connection.connection.driver_connection
    driver.execute("SAVEPOINT story")
    try:
        yield
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK TO story")
            driver.execute("RELEASE story")
        raise
    driver.execute("RELEASE story")


def _still_open(connection: Connection) -> None:
    """SQLite rolls a transaction back by itself when the disk is full, say. Then the earlier stories are
    gone, later ones would commit each on its own, and the driver's commit would report success."""
    driver = connection.connection.driver_connection
    if driver is None or not driver.in_transaction:
        raise RuntimeError("SQLite ended the transaction by itself: nothing of it was kept")


def _set_durability(connection: Connection, durable: bool) -> None:
    """FULL syncs the log at each commit, NORMAL at checkpoints only; cannot change inside a transaction."""
    if connection.info.get("durable") is not durable:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.info["durable"] = durable


def _deliver(batch: list[_Handed]) -> None:
    """Hand the outcomes back in commit order, one wake-up per loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Handed]] = {}
    for handed in batch:
        loops.setdefault(handed.loop, []).append(handed)
    for loop, mine in loops.items():

        def deliver(mine: list[_Handed] = mine) -> None:
            for handed in mine:
                handed.deliver()

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
            log.warning("results of committed transactions had no loop to go to", count=len(mine))


def _prepare(driver: Any, _record: Any) -> None:
    # sqlite3 opens transactions by guesswork; SQLAlchemy's events below do it exactly.
    driver.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=10000",
        "cache_size=-16000",
        "temp_store=MEMORY",
        "wal_autocheckpoint=2000",
    ):
        driver.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writer = connection.get_execution_options().get("ferrotype_writer")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")
