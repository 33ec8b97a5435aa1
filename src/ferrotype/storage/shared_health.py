"""Whether a Valkey or Redis server can be the shared cache, and what to do where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

from ferrotype.storage.base import LevelHealth

#: Whole seconds that all of it may take.
HEALTH_SECONDS: Final = 5
#: What the cache asks of the server.
RIGHTS: Final = "evalsha, expire, hdel, hexists, hget, hlen, hset, ping, script|load, unlink"
#: The first that fits.
MEND: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    (
        (exceptions.AuthenticationError, exceptions.AuthorizationError),
        "correct the user and the password in FERROTYPE_REDIS_URL",
    ),
    ((exceptions.BusyLoadingError,), "wait until it has loaded its data"),
    ((exceptions.NoPermissionError,), f"allow the user of FERROTYPE_REDIS_URL these commands: {RIGHTS}"),
    ((exceptions.OutOfMemoryError,), "set maxmemory-policy allkeys-lru, or a larger maxmemory"),
    ((exceptions.ReadOnlyError,), "name the primary in FERROTYPE_REDIS_URL, not a replica"),
    ((exceptions.ResponseError,), "use Valkey, or Redis from version 5 on, and no cluster"),
    ((exceptions.RedisError, TimeoutError, OSError), "start it, or correct FERROTYPE_REDIS_URL"),
)


def reason(error: BaseException) -> str:
    """Why a command failed, for people. redis-py's texts name hosts and commands, never passwords."""
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return "no answer"
    return str(error) or type(error).__name__


async def examine(
    client: Redis, place: str, key: str, write: Callable[[bytes], Awaitable[None]], timeout: float
) -> LevelHealth:
    """Write under `key` with `write`, read it, forget it. `timeout`, in seconds, is what a look-up may
    cost; `place` names the server."""
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            return await _examine(client, place, key, write, timeout)
    except Exception as error:
        mend = next((words for kinds, words in MEND if isinstance(error, kinds)), "please report this")
        return LevelHealth(False, f"{place}: {reason(error)}", mend)


async def _examine(
    client: Redis, place: str, key: str, write: Callable[[bytes], Awaitable[None]], timeout: float
) -> LevelHealth:
    value = b"is it well?"
    # On a connection of today: what is wrong may show at its beginning only.
    await client.connection_pool.disconnect(inuse_connections=False)
    await client.unlink(key)
    await write(value)
    if await client.hget(key, "doctor") != value:
        return LevelHealth(False, f"{place} does not give back what was written", "see whose server it is")
    loop = asyncio.get_running_loop()
    trips = []
    for _ in range(5):
        started = loop.time()
        await client.ping()
        trips.append(loop.time() - started)
    await client.unlink(key)
    trip = sorted(trips)[len(trips) // 2]
    text = f"{place}, {trip * 1000:.1f} ms away"
    if trip > timeout / 2:
        return LevelHealth(False, text, "move it closer, or raise FERROTYPE_SHARED_CACHE_TIMEOUT")
    try:
        memory: dict[str, Any] = await client.info("memory")
    except exceptions.ResponseError:  # hosted servers often allow it to nobody
        return LevelHealth(True, text)
    return LevelHealth(True, text, _advice(memory))


def _advice(memory: dict[str, Any]) -> str:
    """What to set so that a full server makes room. `memory` is what INFO says of it."""
    if not memory.get("maxmemory"):
        return "it has no bound: set maxmemory, and maxmemory-policy allkeys-lru"
    if memory.get("maxmemory_policy") == "noeviction":
        return "it refuses writes once it is full: set maxmemory-policy allkeys-lru"
    return ""
