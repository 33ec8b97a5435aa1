"""Counts and latencies behind `/metrics`, as Prometheus text and as JSON.

Observing is a few additions under a lock, so that it can stand on the fastest road; everything that
costs is done when somebody looks. Durations are seconds in Prometheus and milliseconds in JSON.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ferrotype.domain.clock import Clock

#: Percentiles are taken over the last so many observations of an operation (8 KiB each).
RESERVOIR: Final = 1024
#: Names beyond this many share the operation `other`, so that no caller can fill the memory with names.
MAX_OPERATIONS: Final = 256
#: Upper bounds of the Prometheus buckets, seconds: from a memory hit to a slow model.
BUCKETS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
CACHE_PREFIX: Final = "cache_"


class Operation:
    """What is known of one operation since the start."""

    __slots__ = (
        "buckets", "cached", "count", "errors", "failed_requests", "lock", "longest", "recent", "requests",
        "shortest", "total",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lock = Lock()
        self.count = 0
        self.errors = 0
        self.requests = 0
        self.failed_requests = 0
        self.cached = 0
        self.total = 0.0
        self.shortest = math.inf
        self.longest = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.recent = array("d", bytes(8 * RESERVOIR))

    def add(self, seconds: float, ok: bool, cached: bool, request: bool) -> None:
        with self.lock:
            self.recent[self.count % RESERVOIR] = seconds
            self.count += 1
            self.total += seconds
            self.buckets[bisect_left(BUCKETS, seconds)] += 1
            if seconds < self.shortest:
                self.shortest = seconds
            if seconds > self.longest:
                self.longest = seconds
            if not ok:
                self.errors += 1
            if request:
                self.requests += 1
                if cached:
                    self.cached += 1
                if not ok:
                    self.failed_requests += 1

    def to_json(self) -> dict[str, float | int]:
        """Percentiles of the recent runs, all else since the start; durations in milliseconds."""
        with self.lock:
            recent = sorted(self.recent[: min(self.count, RESERVOIR)])
            return {
                "count": self.count,
                "errors": self.errors,
                "avg": _ms(self.total / self.count if self.count else 0.0),
                "min": _ms(self.shortest if self.count else 0.0),
                "max": _ms(self.longest),
                "p50": _ms(percentile(recent, 50)),
                "p95": _ms(percentile(recent, 95)),
                "p99": _ms(percentile(recent, 99)),
            }


class Telemetry:
    """Everything that `/metrics` shows. Safe to use from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._operations: dict[str, Operation] = {}
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._lock = Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Metrics(self))
        ProcessCollector(registry=self._registry)

    def observe(
        self, operation: str, seconds: float, *, ok: bool, cached: bool = False, request: bool = True
    ) -> None:
        """One run of `operation` took `seconds`.

        `request=False` is for a part of a request (a provider call, a store): it has its own row but
        is not counted among the requests a second time.
        """
        (self._operations.get(operation) or self._operation(operation)).add(seconds, ok, cached, request)

    def counter(self, name: str, n: float = 1) -> None:
        """Add `n` to `ferrotype_<name>_total`; `name` is snake case without prefix and suffix."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + n

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Show what `read` gives at the time of looking, as `ferrotype_<name>`.

        Names that begin with `cache_` form the JSON's `cache` object. A later gauge of the same name
        takes the place of the earlier; one that raises is left out of that look.
        """
        self._gauges[name] = read

    def prometheus(self) -> tuple[bytes, str]:
        """The Prometheus text format and its media type."""
        return generate_latest(self._registry), "text/plain; version=0.0.4; charset=utf-8"

    def to_json(self) -> dict[str, Any]:
        """The same in JSON: durations in milliseconds, rates from 0 to 1, `uptime` in seconds."""
        total, errors, cached = self._requests()
        gauges = dict(self.read_gauges())
        return {
            "uptime": round(self.uptime(), 3),
            "requests": {
                "total": total,
                "success": total - errors,
                "error": errors,
                "cached": cached,
                "cacheHitRate": round(cached / total, 6) if total else 0.0,
                "errorRate": round(errors / total, 6) if total else 0.0,
            },
            "operations": {name: item.to_json() for name, item in sorted(self._operations.copy().items())},
            "cache": {
                name.removeprefix(CACHE_PREFIX): value
                for name, value in gauges.items()
                if name.startswith(CACHE_PREFIX)
            },
            "gauges": {name: value for name, value in gauges.items() if not name.startswith(CACHE_PREFIX)},
            "counters": dict(sorted(self._counters.copy().items())),
        }

    def uptime(self) -> float:
        """Seconds since this object was made."""
        return self._clock.monotonic() - self._started

    def read_gauges(self) -> Iterator[tuple[str, float]]:
        """Name and value of every gauge that can be read now."""
        for name, read in sorted(self._gauges.copy().items()):
            try:
                yield name, read()
            except Exception:  # one broken gauge must not hide the others
                continue

    def metrics(self) -> Iterator[Metric]:
        """Everything as Prometheus families."""
        yield GaugeMetricFamily("ferrotype_uptime_seconds", "Seconds since the start.", self.uptime())
        requests = CounterMetricFamily(
            "ferrotype_requests", "Requests by how they ended.", labels=["outcome"]
        )
        total, errors, cached = self._requests()
        requests.add_metric(["success"], total - errors)
        requests.add_metric(["error"], errors)
        yield requests
        yield CounterMetricFamily("ferrotype_requests_cached", "Requests answered from a cache.", cached)
        durations = HistogramMetricFamily(
            "ferrotype_operation_duration_seconds", "How long operations took.", labels=["operation"]
        )
        failures = CounterMetricFamily(
            "ferrotype_operation_errors", "Operations that failed.", labels=["operation"]
        )
        for name, item in sorted(self._operations.copy().items()):
            with item.lock:
                durations.add_metric([name], _cumulative(item.buckets), item.total)
                failures.add_metric([name], item.errors)
        yield durations
        yield failures
        for name, value in sorted(self._counters.copy().items()):
            yield CounterMetricFamily(f"ferrotype_{name}", f"Count of {name.replace('_', ' ')}.", value)
        for name, value in self.read_gauges():
            yield GaugeMetricFamily(f"ferrotype_{name}", f"Current {name.replace('_', ' ')}.", value)

    def _requests(self) -> tuple[int, int, int]:
        """How many there were, failed, and came from a cache."""
        items = self._operations.copy().values()
        return (
            sum(item.requests for item in items),
            sum(item.failed_requests for item in items),
            sum(item.cached for item in items),
        )

    def _operation(self, name: str) -> Operation:
        with self._lock:
            if name not in self._operations and len(self._operations) >= MAX_OPERATIONS:
                name = "other"
            return self._operations.setdefault(name, Operation())


class _Metrics(Collector):
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        return self._telemetry.metrics()


def percentile(ordered: list[float], rank: float) -> float:
    """The nearest-rank percentile of ascending values; 0 of none."""
    return ordered[max(0, math.ceil(rank / 100 * len(ordered)) - 1)] if ordered else 0.0


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    bounds, running = [*(str(bound) for bound in BUCKETS), "+Inf"], 0
    out: list[tuple[str, float]] = []
    for bound, count in zip(bounds, buckets, strict=True):
        running += count
        out.append((bound, running))
    return out


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
