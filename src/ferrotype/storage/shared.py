"""The shared cache: finished pictures in Valkey or Redis, for every node that asks.

Layout: one hash per asset, `<namespace>:<asset id>`, with a field per picture: `original`, or
`<imaging version>?<canonical transform>`. So one command forgets an asset with all its variants, of every
version of the server, and there is no index that an eviction could lose. Values are `packed` bytes.
A forgotten asset leaves a mark behind that refuses what was under way elsewhere when it was forgotten.

Bounds, so that the cache can only ever help: a look-up is given up after `timeout` seconds while its answer
is still awaited behind (a command that is canceled costs its connection); three failures in a row open a
circuit, and then a PING behind the answers looks every few seconds whether the server is back.

This module imports redis-py, which takes long: import it only where an address is configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from ferrotype.domain.clock import Clock
from ferrotype.domain.transform import IMAGING_VERSION
from ferrotype.storage.base import FORGOTTEN_SECONDS, LevelHealth, NotForgotten, Picture
from ferrotype.storage.circuit import Circuit
from ferrotype.storage.packed import Damaged, pack, unpack
from ferrotype.storage.shared_health import HEALTH_SECONDS, examine, reason

#: Commands under way at once, each on a connection of its own; further ones wait for one of them.
SEATS: Final = 16
#: Seconds after which a command is abandoned with its connection; writes are behind the answer and may
#: take as long.
ABANDON: Final = 1.0
#: Pictures of one asset: nobody fills the server with transforms of a single picture, which would also be
#: evicted in one go.
MAX_FIELDS: Final = 256
FORGOTTEN: Final = "forgotten"
#: KEYS: the asset's. ARGV: field, value, seconds to live, the mark of a forgotten asset, most fields.
PUT: Final = """
local key, field, value, ttl, mark, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('HEXISTS', key, mark) == 1 then return 0 end
if redis.call('HLEN', key) >= tonumber(most) and redis.call('HEXISTS', key, field) == 0 then return 0 end
redis.call('HSET', key, field, value)
redis.call('EXPIRE', key, ttl)
return 1
"""
#: KEYS: the asset's. ARGV: the mark, its seconds to live. UNLINK comes first, so that a full server, which
#: refuses writes that need memory, forgets all the same.
FORGET: Final = """
redis.call('UNLINK', KEYS[1])
redis.pcall('HSET', KEYS[1], ARGV[1], 1)
redis.pcall('EXPIRE', KEYS[1], ARGV[2])
"""

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SharedStats:
    """Look-ups: `hits`, `misses` (it is not there), `errors` (no answer, or none in time), `skipped` (not
    asked: the circuit is open, or every connection is busy). `puts` counts what was written, `refused` what
    was not. `open` is 1 while the server is out of the way."""

    hits: int
    misses: int
    errors: int
    skipped: int
    puts: int
    refused: int
    open: int


class SharedCache:
    """A `CacheLevel` on a Valkey or Redis server. Lives on one event loop; `close` it in the end."""

    name = "shared"

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        namespace: str = "ferrotype",
        ttl: int = 7200,
        max_object_bytes: int = 4 * 1024 * 1024,
        timeout: float = 0.05,
        version: str = IMAGING_VERSION,
    ) -> None:
        """`ttl` is in seconds from an asset's last write; `timeout`, in seconds, is what a look-up may cost.
        Nothing is connected yet. Raises ValueError for a URL that redis-py cannot read."""
        self._client = Redis.from_url(
            url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
            protocol=2,  # understood by every server since 2.6, and one round trip less than 3
            driver_info=None,
            socket_timeout=ABANDON,
            socket_connect_timeout=ABANDON,
            max_connections=SEATS + 8,
            retry=Retry(NoBackoff(), 0),
        )
        self._put_script = self._client.register_script(PUT)
        self._forget_script = self._client.register_script(FORGET)
        self._namespace = namespace
        self._ttl = ttl
        self._timeout = timeout
        self._version = version
        self.max_object_bytes = max_object_bytes
        self._circuit = Circuit(clock)
        self._seats = asyncio.Semaphore(SEATS)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refusal = ""
        self._hits = self._misses = self._errors = self._skipped = self._puts = self._refused = 0

    async def get(self, asset_id: str, transform: str = "") -> Picture | None:
        """See `CacheLevel`. Takes at most `timeout` seconds and never raises."""
        if self._out_of_the_way():
            self._skipped += 1
            return None
        loop = asyncio.get_running_loop()
        started = loop.time()
        at_once = not self._seats.locked()
        if not await self._seat(self._timeout):
            self._skipped += 1
            return None
        key, field = self._key(asset_id), self._field(transform)
        task = self._seated(lambda: self._client.hget(key, field))
        await asyncio.wait({task}, timeout=self._timeout - (loop.time() - started))
        if not task.done():
            self._errors += 1
            # Where this loop was held up itself, or the wait was for a connection, the server is innocent.
            if at_once and loop.time() - started < 2 * self._timeout:
                self._failed(f"no answer within {self._timeout * 1000:g} ms")
            return None
        if error := _error(task):
            self._errors += 1
            self._failed(reason(error))
            return None
        self._circuit.succeeded()
        return await self._read(key, field, task.result())

    async def put(self, asset_id: str, transform: str, picture: Picture) -> bool:
        """See `CacheLevel`. May take a second and never raises: call it behind the answer."""
        if len(picture.body) > self.max_object_bytes or self._out_of_the_way():
            self._refused += 1
            return False
        key, field = self._key(asset_id), self._field(transform)
        await self._seats.acquire()
        task = self._seated(
            lambda: self._put_script([key], [field, pack(picture), self._ttl, FORGOTTEN, MAX_FIELDS])
        )
        await asyncio.wait({task})
        if error := _error(task):
            self._errors += 1
            if isinstance(error, ResponseError):
                self._refused_by_server(error)
            else:
                self._failed(reason(error))
            return False
        self._circuit.succeeded()
        kept = bool(task.result())
        self._puts += kept
        self._refused += not kept
        return kept

    async def forget(self, asset_id: str) -> None:
        """See `CacheLevel`. Tried also while the circuit is open; takes two seconds at most."""
        if not await self._seat(ABANDON):
            raise NotForgotten("The shared cache is busy.")
        key = self._key(asset_id)
        task = self._seated(lambda: self._forget_script([key], [FORGOTTEN, FORGOTTEN_SECONDS]))
        await asyncio.wait({task})
        if error := _error(task):
            self._errors += 1
            raise NotForgotten(f"The shared cache: {reason(error)}") from error

    async def health(self) -> LevelHealth:
        """Whether a picture can be written, read and forgotten; the words are for people and name no
        secret."""
        key = self._key("doctor")

        async def write(value: bytes) -> None:
            await self._put_script([key], ["doctor", value, HEALTH_SECONDS, FORGOTTEN, MAX_FIELDS])

        return await examine(self._client, self._place(), key, write, self._timeout)

    def stats(self) -> SharedStats:
        """What `/metrics` shows."""
        return SharedStats(
            hits=self._hits,
            misses=self._misses,
            errors=self._errors,
            skipped=self._skipped,
            puts=self._puts,
            refused=self._refused,
            open=int(self._circuit.is_open),
        )

    async def settled(self) -> None:
        """Wait for the commands and the probe that are under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """End what is under way, and every connection."""
        for task in self._tasks:
            task.cancel()
        await self.settled()
        await self._client.aclose()

    def _key(self, asset_id: str) -> str:
        return f"{self._namespace}:{asset_id}"

    def _field(self, transform: str) -> str:
        return f"{self._version}?{transform}" if transform else "original"

    async def _seat(self, seconds: float) -> bool:
        """Take a seat; False when none got free in time."""
        if self._seats.locked():
            try:
                async with asyncio.timeout(seconds):
                    return await self._seats.acquire()
            except TimeoutError:
                return False
        return await self._seats.acquire()  # at once

    def _seated(self, command: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The command on a seat that the caller has taken; it keeps it to its own end, whoever waits."""

        async def run() -> T:
            async with asyncio.timeout(ABANDON):
                return await command()

        def done(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            self._seats.release()
            if not task.cancelled():
                task.exception()  # seen, also where nobody waits for it any more

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(done)
        return task

    async def _read(self, key: str, field: str, data: bytes | str | None) -> Picture | None:
        if not isinstance(data, bytes):
            self._misses += 1
            return None
        try:
            picture = unpack(data)
        except Damaged as error:
            self._errors += 1
            log.warning("a picture in the shared cache is damaged", key=key, field=field, reason=str(error))
            if not self._seats.locked():
                await self._seats.acquire()
                self._seated(lambda: self._client.hdel(key, field))
            return None
        self._hits += 1
        return picture

    def _out_of_the_way(self) -> bool:
        if not self._circuit.is_open:
            return False
        if self._circuit.take_probe():
            task = asyncio.get_running_loop().create_task(self._probe())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _probe(self) -> None:
        well = False
        try:
            async with asyncio.timeout(ABANDON):
                await self._client.ping()
            well = True
            log.info("the shared cache is back", place=self._place())
        except Exception as error:
            log.debug("the shared cache is still away", reason=reason(error))
        finally:
            self._circuit.probed(well)

    def _failed(self, why: str) -> None:
        if self._circuit.failed():
            log.warning("the shared cache is left out until it is back", place=self._place(), reason=why)

    def _refused_by_server(self, error: ResponseError) -> None:
        """It is there and reads may go on; said once per reason."""
        why = reason(error)
        if why != self._refusal:
            self._refusal = why
            log.warning("the shared cache takes no pictures", place=self._place(), reason=why)

    def _place(self) -> str:
        options = self._client.connection_pool.connection_kwargs
        if issubclass(self._client.connection_pool.connection_class, UnixDomainSocketConnection):
            return str(options.get("path"))
        return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    """Of a task that ended; one that was canceled by `close` failed like any other."""
    return asyncio.CancelledError("the cache is closed") if task.cancelled() else task.exception()
