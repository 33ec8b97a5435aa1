"""How the server does, for people: seats, providers, caches, the last hour, what went wrong of late."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from ferrotype import __version__
from ferrotype.catalogue import Catalogue
from ferrotype.db import status as sql
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock, rfc3339, rfc3339_or_none
from ferrotype.domain.model import Deployment
from ferrotype.domain.states import AttemptState
from ferrotype.engine.base import Engine
from ferrotype.net.telemetry import percentile
from ferrotype.services.routing import Routing
from ferrotype.services.standing import key_of

#: Minutes that are looked back.
MINUTES: Final = 60
#: The newest durations that percentiles are taken of.
DURATIONS: Final = 2_000
#: Failures that are counted by the minute, and shown in words.
MAX_FAILURES: Final = 5_000
SHOWN_ERRORS: Final = 20
#: Seconds for which one look serves everybody who watches.
FRESH_SECONDS: Final = 1.0
#: Characters of a provider's words.
MAX_DETAIL: Final = 500
#: Worse ones later: a provider is as its worst deployment.
STATES: Final = ("closed", "busy", "half-open", "open", "misconfigured")

Body = dict[str, Any]


class CacheFigures(Protocol):
    """What every cache can tell: look-ups that found something and those that did not."""

    @property
    def hits(self) -> int: ...

    @property
    def misses(self) -> int: ...


class Status:
    """Looks at everything at once. `seats` by class; `caches` nearest first; `spool_bytes` as of now."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        routing: Routing,
        catalogue: Catalogue,
        seats: Mapping[str, int],
        caches: Mapping[str, Callable[[], CacheFigures]],
        spool_bytes: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._database = database
        self._engine = engine
        self._routing = routing
        self._catalogue = catalogue
        self._seats = seats
        self._caches = caches
        self._spool_bytes = spool_bytes
        self._clock = clock
        self._started_at = clock.now()
        self._lock = asyncio.Lock()
        self._last: tuple[float, Body] | None = None

    async def read(self) -> Body:
        """The body of `GET /v1/status`; at most `FRESH_SECONDS` old, however many ask."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._last is None or now - self._last[0] >= FRESH_SECONDS:
                self._last = now, await self._look()
            return self._last[1]

    async def _look(self) -> Body:
        now = self._clock.now()
        depths = await self._engine.depths()
        hour = await self._database.read(lambda tx: _hour(tx, now))
        queued, running = (sum(each[place] for each in depths.values()) for place in (0, 1))
        return {
            "object": "status",
            "version": __version__,
            "started_at": rfc3339(self._started_at),
            "at": rfc3339(now),
            "classes": [
                {
                    "name": name,
                    "seats": self._seats.get(name, 1),
                    "queued": depths.get(name, (0, 0))[0],
                    "running": depths.get(name, (0, 0))[1],
                }
                for name in [*self._seats, *sorted(depths.keys() - self._seats.keys())]
            ],
            "providers": [self._provider(name, hour) for name in self._names()],
            "caches": [_cache(name, read()) for name, read in self._caches.items()],
            "operations": hour["operations"],
            "pictures": hour["pictures"],
            "recent_errors": hour["recent_errors"],
            "spool_bytes": self._spool_bytes(),
            "jobs": {"queued": queued, "running": running},
        }

    def _names(self) -> list[str]:
        """Those that may be used first, then those that only the catalogue names."""
        named = {each.provider for model in self._catalogue.models.values() for each in model.deployments}
        configured = set(self._routing.configured)
        return [*sorted(configured), *sorted(named - configured)]

    def _provider(self, name: str, hour: Body) -> Body:
        configured = name in self._routing.configured
        deployments: dict[tuple[str, str], Body] = {}
        for model in self._catalogue.models.values():
            for deployment in model.deployments:
                if not configured or deployment.provider != name:
                    continue
                known = deployments.setdefault(
                    key_of(deployment),
                    {"target": deployment.target, "state": self._state(deployment), "models": []},
                )
                known["models"].append(model.name)
        states = [each["state"] for each in deployments.values()]
        seconds = sorted(hour["call_seconds"].get(name, ()))
        return {
            "name": name,
            "configured": configured,
            "state": max(states, key=STATES.index) if states else None,
            "deployments": list(deployments.values()),
            "calls": hour["calls"][name],
            "failures": hour["call_failures"][name],
            "p50_s": _percentile(seconds, 50),
            "p95_s": _percentile(seconds, 95),
            "last_error": hour["last_errors"].get(name),
        }

    def _state(self, deployment: Deployment) -> str:
        """As of now: the breaker's word, or why it is left alone though its breaker is closed."""
        standings = self._routing.standings
        if standings.misconfigured(deployment) is not None:
            return "misconfigured"
        state = standings.state(deployment)
        if state == "closed" and standings.wait(deployment) != 0:
            return "busy"
        return state


def _hour(tx: Transaction, now: datetime) -> Body:
    """Everything that the database tells."""
    since = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    first = _first_id(since)
    calls: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for row in sql.calls(tx, first):
        calls[row.provider] += row.calls
        if row.state in (AttemptState.FAILED, AttemptState.UNKNOWN):
            failed[row.provider] += row.calls
    last_errors: dict[str, Body] = {}
    for row in sql.call_errors(tx, first, SHOWN_ERRORS * 5):
        error = row.error or {}
        last_errors.setdefault(
            row.provider,
            {
                "at": rfc3339_or_none(row.completed_at),
                "target": row.target,
                "code": error.get("code"),
                "detail": str(error.get("detail", ""))[:MAX_DETAIL],
            },
        )
    return {
        "calls": calls,
        "call_failures": failed,
        "call_seconds": _grouped(sql.call_seconds(tx, first, DURATIONS)),
        "last_errors": last_errors,
        "operations": [
            {
                "name": name,
                "count": len(seconds),
                "p50_s": _percentile(sorted(seconds), 50),
                "p95_s": _percentile(sorted(seconds), 95),
            }
            for name, seconds in sorted(_grouped(sql.operation_seconds(tx, first, DURATIONS)).items())
        ],
        "pictures": _pictures(tx, first, since),
        "recent_errors": [_error(tx, row) for row in sql.failures(tx, SHOWN_ERRORS)],
    }


def _pictures(tx: Transaction, first: str, since: datetime) -> list[Body]:
    """Minute by minute, the current one last. Failed are the pictures of generations that failed, and those
    whose bytes never came."""
    made = sql.made(tx, first, since)
    failed: Counter[int] = Counter()
    for row in sql.failures_since(tx, since, MAX_FAILURES):
        failed[row.created_at.minute] += 1 if "asset_id" in row.data else row.num_images
    minutes = [since + timedelta(minutes=each) for each in range(MINUTES)]
    return [
        {"at": rfc3339(at), "made": made.get(at.minute, 0), "failed": failed[at.minute]} for at in minutes
    ]


def _error(tx: Transaction, row: Any) -> Body:
    error = row.data.get("error") or {}
    return {
        "at": rfc3339(row.created_at),
        "code": error.get("code"),
        "detail": str(error.get("detail", ""))[:MAX_DETAIL],
        "model": row.model,
        "provider": sql.last_provider(tx, row.generation_id),
        "generation_id": row.generation_id,
        "asset_id": row.data.get("asset_id"),
    }


def _cache(name: str, figures: CacheFigures) -> Body:
    """`bytes` and `max_bytes` are None where the place does not tell."""
    return {
        "name": name,
        "hits": figures.hits,
        "misses": figures.misses,
        "bytes": getattr(figures, "bytes", None),
        "max_bytes": getattr(figures, "max_bytes", None),
    }


def _grouped(pairs: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for name, seconds in pairs:
        groups[name].append(seconds)
    return groups


def _percentile(ordered: list[float], rank: float) -> float | None:
    """Seconds; None of none."""
    return round(percentile(ordered, rank), 4) if ordered else None


def _first_id(since: datetime) -> str:
    """The lowest id that can have been made since (`domain/ids.py`: the first 48 bits are milliseconds)."""
    stamp = f"{int(since.timestamp() * 1000):012x}"
    return f"{stamp[:8]}-{stamp[8:]}"
