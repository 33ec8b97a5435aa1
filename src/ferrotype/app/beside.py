"""The parts that the asset commands need, in a process beside a server that may run on the same data folder.

SQLite lets a second process write between the server's transactions, and the server finds the jobs that were
enqueued here within a second. What a server must own alone, its jobs, the bookkeeping of its spool and its
caches, is not touched here. See docs/adr/0013.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from sqlalchemy import create_engine, select

from ferrotype.app.database import database_url, open_database
from ferrotype.app.keys import own_secret
from ferrotype.app.lock import DataFolder, running_server
from ferrotype.app.settings import AppSettings
from ferrotype.config import ConfigError
from ferrotype.db.database import Transaction
from ferrotype.db.migrate import revisions
from ferrotype.db.schema import jobs
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.clock import Clock, SystemClock
from ferrotype.domain.problems import Problem
from ferrotype.domain.states import JobState
from ferrotype.engine import moves
from ferrotype.engine.base import Lease
from ferrotype.engine.sqlite import SqliteEngine
from ferrotype.imaging.pool import ImagingPool
from ferrotype.services import drop
from ferrotype.services.chores import Pace, Patience
from ferrotype.services.credits import Accounts
from ferrotype.services.drop import Drop
from ferrotype.services.migrate import Migrate
from ferrotype.services.revive import Revive
from ferrotype.services.sweep import Sweep
from ferrotype.services.verify import Verify
from ferrotype.services.wholes import Wholes
from ferrotype.storage.registry import Stores, open_stores
from ferrotype.storage.scratch import Scratch
from ferrotype.storage.spool import Spool
from ferrotype.storage.variants import DiskVariants

if TYPE_CHECKING:
    from ferrotype.services.import_pictures import ImportPictures

#: Held by the one asset command that writes.
LOCK: Final = "assets.lock"
SCRATCH: Final = "scratch"
#: Seconds that a running server has to say what it writes to.
ASK_SECONDS: Final = 10.0
#: Drops that are run at once where no server does it.
DROPS: Final = 4


@dataclass
class Beside:
    """What the commands are made of; `server` is {pid, url} of the server that owns the folder."""

    settings: AppSettings
    server: dict[str, Any] | None
    database: SqliteDatabase
    engine: SqliteEngine
    stores: Stores
    spool: Spool
    scratch: Scratch
    secret: bytes
    account_id: str
    pace: Pace
    clock: Clock = field(default_factory=SystemClock)
    patience: Patience = field(default_factory=Patience)

    @property
    def wholes(self) -> Wholes:
        """Pictures from wherever they are right."""
        return Wholes(self.stores, self.spool, self.scratch, self.pace)

    @property
    def migrate(self) -> Migrate:
        """From store to store."""
        return Migrate(
            self.database, self.engine, self.stores, self.wholes, self.clock, self.secret, self.patience
        )

    @property
    def verify(self) -> Verify:
        """A look at every copy."""
        return Verify(self.database, self.stores, self.spool, self.wholes, self.patience)

    @property
    def revive(self) -> Revive:
        """Dead letters."""
        starts = self.settings.orders.store_starts
        return Revive(self.database, self.engine, self.stores, self.spool, starts)

    @property
    def sweep(self) -> Sweep:
        """Orphans."""
        root, variants = self.settings.data_dir / "variants", None
        if root.is_dir():
            variants = DiskVariants(root, self.settings.storage.variant_store_bytes, self.clock)
        return Sweep(self.database, self.stores, self.spool, variants, self.clock, self.secret, self.patience)

    @cached_property
    def importing(self) -> ImportPictures:
        """Pictures from elsewhere."""
        from ferrotype.services.import_pictures import ImportPictures  # it loads libvips

        settings = self.settings
        return ImportPictures(
            self.database,
            self.engine,
            self.stores,
            self.scratch,
            self.pool,
            self.clock,
            self.secret,
            self.account_id,
            settings.imaging,
            settings.retention,
            settings.delivery.visibility,
            self.pace,
            self.patience,
        )

    @cached_property
    def pool(self) -> ImagingPool:
        """Threads that look at pictures."""
        return ImagingPool(self.settings.imaging)

    async def close_pool(self) -> None:
        """End the threads, if any have begun."""
        if "pool" in self.__dict__:
            await asyncio.to_thread(self.pool.close)

    async def server_writes_to(self) -> list[str] | None:
        """The stores that the running server writes to; None when no server runs, or it does not answer."""
        url = (self.server or {}).get("url")
        if not url:
            return None
        key = self.settings.http.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
                http.get(f"{url}/readyz") as reply,
            ):
                checks = (await reply.json())["checks"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            return None
        return [name.removeprefix("store:") for name in checks if name.startswith("store:")]

    async def finish_drops(self) -> None:
        """Run the jobs that drop copies, where no server does it; those whose store is out of reach stay.
        Raises ConfigError when a server has taken the folder meanwhile."""
        folder = DataFolder(self.settings.data_dir)
        folder.acquire()
        try:
            handler = Drop(self.database, self.engine, self.stores, self.clock, lambda _: None, {})
            await self.database.write(self._take_back)
            while leases := await self.engine.claim(DROPS, [drop.KIND]):
                await asyncio.gather(*(self._drop(handler, lease) for lease in leases))
        finally:
            folder.release()

    def _take_back(self, tx: Transaction) -> None:
        """Queue those that an earlier process did not end. The folder is ours: nobody runs them."""
        mine = select(jobs).where(jobs.c.state == JobState.RUNNING.value, jobs.c.kind == drop.KIND)
        for row in tx.execute(mine).all():
            moves.leave(tx, row, JobState.QUEUED, self.clock.now(), starts=row.starts - 1)

    async def _drop(self, handler: Drop, lease: Lease) -> None:
        try:
            await handler(lease)
        except Problem as problem:
            at, error = self.clock.now() + timedelta(seconds=problem.retry_after or 30), problem.to_json()
            await self.database.write(lambda tx: self.engine.retry(tx, lease, at, error))


@asynccontextmanager
async def beside(
    settings: AppSettings, *, alone: bool = True, rate: float | None = None
) -> AsyncIterator[Beside]:
    """Open what is needed. With `alone` no other command that writes runs on this folder meanwhile.

    Raises ConfigError: another one does, or the running server is of another version.
    """
    server = running_server(settings.data_dir)
    fd = _locked(settings.data_dir) if alone else None
    database: SqliteDatabase | None = None
    stores: Stores | None = None
    spool: Spool | None = None
    try:
        database = await (_joined(settings) if server else _made(settings))
        clock = SystemClock()
        account_id = await Accounts(database, clock).open_default(settings.orders.initial_credits)
        storage = settings.storage
        stores = open_stores(
            settings.stores, storage, settings.data_dir / "assets", settings.delivery.disk_public_url
        )
        spool = Spool(settings.data_dir / "spool", storage.spool_max_bytes)
        (settings.data_dir / "spool").mkdir(exist_ok=True)
        scratch = Scratch(settings.data_dir / SCRATCH)
        if alone:
            scratch.clear()
        engine = SqliteEngine(
            database,
            clock,
            settings.engine.classes,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            lease_seconds=settings.engine.lease_seconds,
        )
        yield Beside(
            settings,
            server,
            database,
            engine,
            stores,
            spool,
            scratch,
            own_secret(settings.data_dir),
            account_id,
            Pace(rate, clock),
        )
    finally:
        if spool is not None:
            spool.close()
        for store in stores.by_name.values() if stores is not None else ():
            await store.close()
        if database is not None:
            await database.close()
        if fd is not None:
            os.close(fd)


async def _made(settings: AppSettings) -> SqliteDatabase:
    """The database, brought up to date: nobody else has it open. A server may start from here on."""
    folder = DataFolder(settings.data_dir)
    folder.acquire()
    try:
        own_secret(settings.data_dir)
        return await open_database(settings)
    finally:
        folder.release()


async def _joined(settings: AppSettings) -> SqliteDatabase:
    """The database of a running server, which is not changed under its feet."""
    url = database_url(settings)
    path = Path(url.removeprefix("sqlite:///"))
    if not path.is_file():
        raise ConfigError(f"DATABASE_URL: there is no database {path}, so the running server uses another.")

    def look() -> tuple[str | None, str | None]:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return revisions(connection)
        finally:
            engine.dispose()

    current, newest = await asyncio.to_thread(look)
    if current != newest:
        raise ConfigError(
            "The running server is of another version than this command: restart it first, or use its own."
        )
    return SqliteDatabase(path)


def _locked(root: Path) -> int:
    """The descriptor that holds the lock; the kernel drops it with the process, however that ends."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"FERROTYPE_DATA_DIR: {root} cannot be written to ({error.strerror}).") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(fd, 20, 0).decode(errors="replace").strip() or "?"
        os.close(fd)
        raise ConfigError(
            f"Another `ferrotype assets` command works on {root} (process {owner}): wait for its end, or"
            " stop it; it goes on where it was."
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd
