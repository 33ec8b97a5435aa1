"""The bounded pool. No test sleeps: workers wait on events that the test sets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from ferrotype.config import load
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import Overloaded
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.settings import ImagingSettings, cores


class Gate:
    """A call that says when it has begun and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.ran = 0

    def __call__(self, value: int = 0) -> int:
        self.ran += 1
        self.begun.release()
        assert self.open.wait(30)
        return value

    async def entered(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, True, 30)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def pool(clock: ManualClock) -> AsyncIterator[ImagingPool]:
    made = ImagingPool(ImagingSettings(imaging_threads=2, imaging_queue=1), clock=clock)
    yield made
    await asyncio.to_thread(made.close)


async def settle() -> None:
    """Let tasks that were just made run up to their first wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_results_and_errors_come_back(pool: ImagingPool) -> None:
    assert await pool.run(divmod, 7, 3) == (2, 1)
    assert await pool.run(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)
    assert pool.pending == 0


async def test_it_runs_off_the_loop(pool: ImagingPool) -> None:
    assert await pool.run(threading.get_ident) != threading.get_ident()


async def test_a_full_pool_refuses_at_once_and_recovers(pool: ImagingPool, clock: ManualClock) -> None:
    gate = Gate()
    running = [asyncio.create_task(pool.run(gate, n)) for n in range(3)]
    await gate.entered()
    await gate.entered()
    assert (pool.pending, gate.ran) == (3, 2)  # two run, one waits
    with pytest.raises(Overloaded) as caught:
        await pool.run(gate)
    assert (caught.value.limit, caught.value.retry_after) == (3, 1)
    clock.advance(100)
    gate.open.set()
    assert await asyncio.gather(*running) == [0, 1, 2]
    assert await pool.run(int) == 0
    assert pool.pending == 0

    slow = Gate()
    running = [asyncio.create_task(pool.run(slow)) for _ in range(3)]
    await slow.entered()
    with pytest.raises(Overloaded) as caught:
        await pool.run(slow)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 10  # it has learnt how long these take
    slow.open.set()
    await asyncio.gather(*running)


async def test_who_leaves_the_queue_makes_room(pool: ImagingPool) -> None:
    gate = Gate()
    running = [asyncio.create_task(pool.run(gate, n)) for n in range(3)]
    await gate.entered()
    await gate.entered()
    running[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await running[2]
    assert pool.pending == 2
    last = asyncio.create_task(pool.run(gate, 9))
    await settle()
    gate.open.set()
    assert await last == 9
    assert gate.ran == 3


async def test_who_leaves_a_running_call_keeps_its_thread_taken(pool: ImagingPool) -> None:
    gate = Gate()
    running = asyncio.create_task(pool.run(gate))
    await gate.entered()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pool.pending == 1
    gate.open.set()


async def test_after_close_nothing_runs() -> None:
    pool = ImagingPool(ImagingSettings(imaging_threads=1))
    pool.close()
    with pytest.raises(Overloaded):
        await pool.run(int)
    assert pool.pending == 0


def test_the_number_of_threads_is_that_of_the_cores_unless_it_is_set() -> None:
    assert ImagingSettings().threads == cores() >= 1
    assert load(ImagingSettings, {"FERROTYPE_IMAGING_THREADS": "3"}).threads == 3
    limits = load(ImagingSettings, {"FERROTYPE_MAX_UPLOAD_BYTES": "2048", "FERROTYPE_MAX_SIDE": "99"})
    assert (limits.max_upload_bytes, limits.max_side) == (2048, 99)
