"""How each deployment does: what is under way there, how its last calls ended, until when it is left alone.

Facts of this process, in memory: after a restart every deployment is trusted again, and found out again.
A circuit breaker opens when too many of the last calls were its own fault; then one probe at a time goes
through, and the first that ends well closes it (half-open). A rate limit leaves the deployment alone for as
long as it asks for. Nothing of this touches the class of the waiting jobs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.model import Deployment
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.services.settings import RoutingSettings

Key = tuple[str, str]
#: Endings that tell against a deployment. A refusal or a rejection tells against the order.
FAULTS: Final = (ProviderUnavailable, ProviderFailed, ProviderTimeout, AttemptLost, OutcomeUnknown)
#: Longest pause that a rate limit without Retry-After is given, in seconds.
MAX_PAUSE: Final = 30.0


def key_of(deployment: Deployment) -> Key:
    """What a deployment is known by."""
    return deployment.provider, deployment.target


@dataclass(slots=True)
class Standing:
    """One deployment's. Times are monotonic seconds."""

    under_way: int = 0
    recent: deque[bool] = field(default_factory=deque)
    closed_until: float = 0.0
    openings: int = 0
    probing: bool = False
    busy_until: float = 0.0
    busies: int = 0
    misconfigured: ProviderMisconfigured | None = None
    parked: deque[str] = field(default_factory=deque)


class Standings:
    """Every deployment's standing. Safe to use from the loop and from the database's thread."""

    def __init__(self, clock: Clock, settings: RoutingSettings, random: Random | None = None) -> None:
        self._clock = clock
        self._settings = settings
        self._random = random or Random()
        self._lock = threading.Lock()
        self._of: dict[Key, Standing] = {}

    def enter_first(self, deployments: Iterable[Deployment]) -> Deployment | None:
        """The first of them that takes a call now; its seat is taken."""
        with self._lock:
            for deployment in deployments:
                standing = self._standing(deployment)
                if self._wait(standing, deployment) == 0:
                    standing.under_way += 1
                    standing.probing = standing.openings > 0
                    return deployment
        return None

    def enter(self, deployment: Deployment) -> None:
        """A call that is under way already, whatever the bounds say."""
        with self._lock:
            self._standing(deployment).under_way += 1

    def leave(self, deployment: Deployment) -> None:
        """The call has ended."""
        with self._lock:
            standing = self._standing(deployment)
            standing.under_way -= 1
            standing.probing = False

    def next_parked(self, deployment: Deployment) -> str | None:
        """Take the job that waits longest out of the line; None when nobody waits."""
        with self._lock:
            parked = self._standing(deployment).parked
            return parked.popleft() if parked else None

    def wait(self, deployment: Deployment) -> float | None:
        """Seconds until it may take a call, 0 for now; None when it is full until a call ends."""
        with self._lock:
            return self._wait(self._standing(deployment), deployment)

    def park(self, deployment: Deployment, job_id: str) -> int:
        """Remember a job that waits for a place; how many waited before it."""
        with self._lock:
            parked = self._standing(deployment).parked
            if job_id not in parked:
                parked.append(job_id)
            return parked.index(job_id)

    def record(self, deployment: Deployment, problem: Problem | None) -> None:
        """How a call ended: None or a problem of the order speaks for the deployment."""
        with self._lock:
            standing, now = self._standing(deployment), self._clock.monotonic()
            if isinstance(problem, ProviderBusy):
                standing.busies += 1
                pause = min(MAX_PAUSE, 0.5 * 2 ** min(standing.busies, 10)) * self._random.uniform(0.8, 1.2)
                standing.busy_until = now + (pause if problem.retry_after is None else problem.retry_after)
                return
            standing.busies = 0
            if isinstance(problem, ProviderMisconfigured):
                standing.misconfigured = problem
                self._open(standing, now, at_once=True)
                return
            standing.misconfigured = None
            is_fault = isinstance(problem, FAULTS)
            standing.recent.append(is_fault)
            while len(standing.recent) > self._settings.breaker_window:
                standing.recent.popleft()
            if not is_fault:
                if standing.openings:
                    standing.openings, standing.closed_until = 0, 0.0
                    standing.recent.clear()
            elif standing.openings or sum(standing.recent) >= self._settings.breaker_faults:
                self._open(standing, now)

    def state(self, deployment: Deployment) -> str:
        """`closed`, `open` or `half-open`: the breaker's, for people."""
        with self._lock:
            standing = self._standing(deployment)
            if not standing.openings:
                return "closed"
            return "open" if standing.closed_until > self._clock.monotonic() else "half-open"

    def misconfigured(self, deployment: Deployment) -> ProviderMisconfigured | None:
        """Why its last call was turned away, while it is left alone for settings that are wrong."""
        with self._lock:
            standing = self._standing(deployment)
            return standing.misconfigured if standing.closed_until > self._clock.monotonic() else None

    def _standing(self, deployment: Deployment) -> Standing:
        return self._of.setdefault(key_of(deployment), Standing())

    def _wait(self, standing: Standing, deployment: Deployment) -> float | None:
        now = self._clock.monotonic()
        until = max(standing.closed_until, standing.busy_until)
        if until > now:
            return until - now
        full = deployment.max_concurrent is not None and standing.under_way >= deployment.max_concurrent
        return None if full or (standing.openings > 0 and standing.probing) else 0

    def _open(self, standing: Standing, now: float, *, at_once: bool = False) -> None:
        if standing.closed_until > now:
            return  # calls that were under way when it opened tell nothing new
        standing.openings += 1
        seconds = self._settings.breaker_seconds * 2 ** min(standing.openings - 1, 10)
        seconds = min(self._settings.breaker_max_seconds, seconds * (4 if at_once else 1))
        standing.closed_until = now + seconds * self._random.uniform(0.9, 1.1)
        standing.recent.clear()
