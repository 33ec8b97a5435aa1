"""The workers: at most so many at once, started when there is work, ended when there was none for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ferrotype.domain.problems import ProviderRejected, ProviderTimeout, ProviderUnavailable
from ferrotype.providers.local.process import Made, Worker
from ferrotype.providers.local.settings import LocalSettings


class Workers:
    """A worker that was cancelled in the middle, or that died, is replaced at the next order."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._seats = asyncio.Semaphore(settings.local_workers)
        self._all: set[Worker] = set()
        self._idle: dict[Worker, asyncio.TimerHandle] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._closed = False

    @property
    def position(self) -> int:
        """The place that a new order would have in the line, from 1; 0 when it is begun at once."""
        return self._waiting + 1 if self._seats.locked() else 0

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes, for those who look after them."""
        return [worker.pid for worker in self._all]

    async def run(
        self,
        order: dict[str, Any],
        pictures: list[bytes],
        seconds: float,
        on_start: Callable[[], None],
        on_progress: Callable[[float], None],
    ) -> Made:
        """Have a picture made as soon as a worker is free, in the order of the calls. `on_start` is called
        when its turn comes.

        Cancelling this ends the work. Raises the worker's problem, ProviderFailed when the worker dies, and
        ProviderTimeout when it hangs, or has worked for so many `seconds`. ProviderUnavailable once all
        was closed.
        """
        self._waiting += 1
        try:
            await self._seats.acquire()
        finally:
            self._waiting -= 1
        try:
            if self._closed:
                raise ProviderUnavailable("The workers have been closed.")
            on_start()
            async with asyncio.timeout(seconds):
                return await self._work(order, pictures, on_progress)
        except TimeoutError:
            raise ProviderTimeout(f"The worker was not done within {seconds:g} s.") from None
        finally:
            self._seats.release()

    async def close(self) -> None:
        """End all of them, and wait for it; there will be no others."""
        self._closed = True
        for worker in list(self._all):
            worker.kill()
        await asyncio.gather(*self._ends)

    async def _work(
        self, order: dict[str, Any], pictures: list[bytes], on_progress: Callable[[float], None]
    ) -> Made:
        worker = self._take() or await self._start()
        try:
            made = await worker.run(order, pictures, on_progress)
        except ProviderRejected:
            self._give_back(worker)
            raise
        except BaseException:
            worker.kill()
            raise
        self._give_back(worker)
        return made

    def _take(self) -> Worker | None:
        while self._idle:
            worker, timer = self._idle.popitem()
            timer.cancel()
            if worker.alive:
                return worker
            worker.kill()
        return None

    async def _start(self) -> Worker:
        worker = await Worker.start(self._settings.threads, self._settings.memory)
        self._all.add(worker)
        end = asyncio.create_task(self._see_off(worker), name="end of a worker")
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        return worker

    def _give_back(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        self._idle[worker] = loop.call_later(self._settings.local_idle_seconds, self._retire, worker)

    def _retire(self, worker: Worker) -> None:
        del self._idle[worker]
        worker.retire()

    async def _see_off(self, worker: Worker) -> None:
        await worker.ended()
        self._all.discard(worker)
        if worker in self._idle:  # it was killed by somebody else
            self._idle.pop(worker).cancel()
