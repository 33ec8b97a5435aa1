"""A bounded pool of threads for imaging: libvips releases the GIL, so threads are real parallelism."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar

from ferrotype.domain.clock import Clock, SystemClock
from ferrotype.domain.problems import Overloaded
from ferrotype.imaging.settings import ImagingSettings

P = ParamSpec("P")
T = TypeVar("T")

#: Weight of the newest duration in the running mean that `retry_after` is estimated from.
SMOOTHING: Final = 0.1
FIRST_GUESS_S: Final = 0.05
BACKGROUND_NICE: Final = 15
#: Seconds after which a server that stops may be back.
STOPPING_S: Final = 5


class Seat:
    """A place in a pool's queue."""

    def __init__(self, submit: Callable[[Callable[[], Any]], Future[Any]]) -> None:
        self._submit = submit
        self.future: Future[Any] | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` gives, or its exception; once."""
        assert self.future is None
        self.future = self._submit(call)
        found: T = await asyncio.wrap_future(self.future)
        return found


class ImagingPool:
    """`threads` calls run at once, `queue` more may wait; one beyond that is refused at once.

    `bound` is how many those are. `background` is for work that nobody waits for: one thread, which yields
    the processor to all others.
    """

    def __init__(
        self, settings: ImagingSettings, *, background: bool = False, clock: Clock | None = None
    ) -> None:
        self.threads = 1 if background else settings.threads
        self.bound = self.threads + settings.imaging_queue
        self._clock = clock or SystemClock()
        self._executor = ThreadPoolExecutor(
            self.threads, thread_name_prefix="imaging", initializer=_be_nice if background else None
        )
        self._lock = Lock()
        self._closed = False
        self._pending = 0
        self._mean_s = FIRST_GUESS_S

    @property
    def pending(self) -> int:
        """Calls that run or wait; for gauges."""
        return self._pending

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` gives, or its exception.

        Cancelling takes a waiting call out of the queue; one that runs goes on to its end and keeps its
        thread, and its result is dropped. Raises Overloaded with `retry_after` seconds when full, and after
        `close`.
        """
        with self.seat() as seat:
            return await seat.run(partial(call, *args, **kwargs))

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """A place in the queue, for one call, taken before what the call needs is fetched. Raises as `run`
        does."""
        with self._lock:
            if self._closed:
                raise Overloaded("The server is stopping.", retry_after=STOPPING_S)
            if self._pending >= self.bound:
                raise Overloaded(
                    f"{self._pending} pictures are being worked on or waiting.",
                    limit=self.bound,
                    retry_after=max(1, math.ceil(self._pending / self.threads * self._mean_s)),
                )
            self._pending += 1
        seat = Seat(self._submit)
        try:
            yield seat
        finally:
            if seat.future is None:
                self._release()
            else:
                seat.future.add_done_callback(self._release)

    def close(self) -> None:
        """Drop what waits and wait for what runs. Blocking."""
        with self._lock:
            self._closed = True
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        try:
            return self._executor.submit(self._timed, call)
        except RuntimeError:  # closed since the seat was taken
            raise Overloaded("The server is stopping.", retry_after=STOPPING_S) from None

    def _timed(self, call: Callable[[], T]) -> T:
        started = self._clock.monotonic()
        try:
            return call()
        finally:
            took = self._clock.monotonic() - started
            with self._lock:
                self._mean_s += SMOOTHING * (took - self._mean_s)

    def _release(self, _: object = None) -> None:
        with self._lock:
            self._pending -= 1


def _be_nice() -> None:
    """On Linux niceness belongs to the thread (setpriority(2), notes)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)
