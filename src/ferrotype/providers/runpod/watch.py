"""One job, followed to its end by asking for its status."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.providers.base import Progress, Queued, Started, WatchEvent
from ferrotype.providers.hosted.api import Api
from ferrotype.providers.hosted.polling import Bell, Pace
from ferrotype.providers.runpod.progress import fraction_of

#: Looks in a row that must find nothing before the job counts as gone: one gateway may lag behind another.
BELIEVED: Final = 3

Job = Mapping[str, Any]


class Gone(Exception):
    """RunPod does not know the job."""


async def look(api: Api, endpoint: str, job_id: str) -> Job:
    """The job's status.

    Raises Gone, and ProviderUnavailable or ProviderBusy for everything else that is no status: nothing that
    is said here, a refused key included, tells how the job fares.
    """
    what = "Asking for a job"
    reply = await api.send(what, "GET", f"/{endpoint}/status/{job_id}")
    if reply.status in (404, 410):
        raise Gone
    if not reply.ok:
        problem = api.refused(what, reply)
        if isinstance(problem, ProviderMisconfigured | ProviderRejected):
            raise ProviderUnavailable(problem.detail)
        raise problem
    job = api.decoded(what, reply)
    if not isinstance(job, dict) or not isinstance(job.get("status"), str):
        raise ProviderUnavailable(f"{what}: {api.name}'s answer tells no status.")
    return job


class Follow:
    """Looks at a job until it has ended. `ask` is `look`; `bell` wakes it between two looks."""

    def __init__(self, ask: Callable[[], Awaitable[Job]], bell: Bell, pace: Pace, clock: Clock) -> None:
        self._ask = ask
        self._bell = bell
        self._pace = pace
        self._clock = clock
        self._failing: float | None = None
        self._gone = 0

    async def jobs(self, first: Job | None, *, hooked: bool) -> AsyncGenerator[Job]:
        """Every status, `first` before the others.

        Raises OutcomeUnknown once the job is surely gone, ProviderUnavailable or ProviderBusy once it could
        not be asked for longer than the pace's patience.
        """
        if first is not None:
            yield first
        pauses = self._pace.seconds(hooked=hooked)
        while True:
            pause = next(pauses)
            try:
                job = await self._ask()
            except Gone:
                self._gone += 1
                if self._gone >= BELIEVED:
                    raise OutcomeUnknown(
                        "RunPod no longer knows the job: its result has expired, or its endpoint is gone."
                    ) from None
            except (ProviderUnavailable, ProviderBusy) as problem:
                pause = self._patiently(problem, pause)
            else:
                self._failing, self._gone = None, 0
                yield job
            await self._bell.wait(pause)

    def _patiently(self, problem: ProviderProblem, pause: float) -> float:
        """How long to wait before the next look. Raises `problem` when patience ends before that."""
        now = self._clock.monotonic()
        self._failing = now if self._failing is None else self._failing
        pause = max(pause, problem.retry_after or 0.0)
        if now + pause - self._failing > self._pace.patience:
            raise problem
        return pause


class Telling:
    """Turns statuses into events, each told once."""

    def __init__(self) -> None:
        self._told: type | None = None
        self._fraction = 0.0

    def events(self, job: Job) -> Iterator[WatchEvent]:
        """What is new in a status of a job that goes on."""
        kind = Queued if job["status"] == "IN_QUEUE" else Started
        if kind is not self._told:
            self._told = kind
            yield kind()
        fraction = fraction_of(job.get("output")) if kind is Started else None
        if fraction is not None and fraction > self._fraction:
            self._fraction = fraction
            yield Progress(fraction)
