"""The numbers behind /metrics."""

from __future__ import annotations

import math
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ferrotype.domain.clock import ManualClock
from ferrotype.net.telemetry import MAX_OPERATIONS, RESERVOIR, Telemetry, percentile


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def telemetry(clock: ManualClock) -> Telemetry:
    return Telemetry(clock)


def samples(telemetry: Telemetry) -> dict[tuple[str, str], float]:
    text = telemetry.prometheus()[0].decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_nothing_yet(telemetry: Telemetry, clock: ManualClock) -> None:
    clock.advance(1.5)
    assert telemetry.to_json() == {
        "uptime": 1.5,
        "requests": {
            "total": 0,
            "success": 0,
            "error": 0,
            "cached": 0,
            "cacheHitRate": 0.0,
            "errorRate": 0.0,
        },
        "operations": {},
        "cache": {},
        "gauges": {},
        "counters": {},
    }


def test_requests_and_operations_in_milliseconds(telemetry: Telemetry) -> None:
    for n in range(1, 101):
        telemetry.observe("deliver", n / 1000, ok=n != 100, cached=n <= 25)
    telemetry.observe("provider.call", 2.0, ok=False, request=False)
    body = telemetry.to_json()
    assert body["requests"] == {
        "total": 100,
        "success": 99,
        "error": 1,
        "cached": 25,
        "cacheHitRate": 0.25,
        "errorRate": 0.01,
    }
    assert body["operations"]["deliver"] == {
        "count": 100,
        "errors": 1,
        "avg": 50.5,
        "min": 1.0,
        "max": 100.0,
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
    }
    assert body["operations"]["provider.call"]["errors"] == 1


def test_percentiles_slide_and_the_rest_stays(telemetry: Telemetry) -> None:
    telemetry.observe("a", 9.0, ok=True)
    for _ in range(RESERVOIR):
        telemetry.observe("a", 0.001, ok=True)
    row = telemetry.to_json()["operations"]["a"]
    assert (row["p99"], row["max"], row["count"]) == (1.0, 9000.0, RESERVOIR + 1)


def test_prometheus_names_and_buckets(telemetry: Telemetry, clock: ManualClock) -> None:
    clock.advance(3)
    telemetry.observe("deliver", 0.001, ok=True, cached=True)
    telemetry.observe("deliver", 0.3, ok=False)
    telemetry.observe("deliver", 1000, ok=True)
    telemetry.counter("webhooks_sent")
    telemetry.counter("webhooks_sent", 2)
    telemetry.gauge("cache_bytes", lambda: 7)
    found = samples(telemetry)
    assert found["ferrotype_uptime_seconds", ""] == 3
    assert found["ferrotype_requests_total", "success"] == 2
    assert found["ferrotype_requests_total", "error"] == 1
    assert found["ferrotype_requests_cached_total", ""] == 1
    assert found["ferrotype_operation_errors_total", "deliver"] == 1
    assert found["ferrotype_webhooks_sent_total", ""] == 3
    assert found["ferrotype_cache_bytes", ""] == 7
    name = "ferrotype_operation_duration_seconds"
    assert found[f"{name}_count", "deliver"] == 3
    assert found[f"{name}_sum", "deliver"] == pytest.approx(1000.301)
    text = telemetry.prometheus()[0].decode()
    assert f'{name}_bucket{{le="0.001",operation="deliver"}} 1.0' in text
    assert f'{name}_bucket{{le="0.5",operation="deliver"}} 2.0' in text
    assert f'{name}_bucket{{le="300.0",operation="deliver"}} 2.0' in text
    assert f'{name}_bucket{{le="+Inf",operation="deliver"}} 3.0' in text
    assert "process_resident_memory_bytes" in text


def test_gauges_are_read_when_looked_at_and_a_broken_one_hides_only_itself(telemetry: Telemetry) -> None:
    entries = [1]
    telemetry.gauge("cache_entries", lambda: entries[0])
    telemetry.gauge("cache_broken", lambda: 1 // 0)
    telemetry.gauge("queue_depth", lambda: 4)
    entries[0] = 2
    body = telemetry.to_json()
    assert (body["cache"], body["gauges"]) == ({"entries": 2}, {"queue_depth": 4})
    assert ("ferrotype_cache_broken", "") not in samples(telemetry)


def test_names_are_bounded(telemetry: Telemetry) -> None:
    for n in range(MAX_OPERATIONS + 50):
        telemetry.observe(f"op{n}", 0.1, ok=True)
    operations = telemetry.to_json()["operations"]
    assert len(operations) == MAX_OPERATIONS + 1
    assert operations["other"]["count"] == 50


def test_no_observation_is_lost_between_threads(telemetry: Telemetry) -> None:
    def work() -> None:
        for _ in range(2000):
            telemetry.observe("a", 0.001, ok=True)
            telemetry.counter("b")

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    body = telemetry.to_json()
    assert (body["requests"]["total"], body["counters"]["b"]) == (8000, 8000)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_the_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], rank: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, rank)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= math.ceil(rank / 100 * len(ordered))
    assert sum(value < found for value in ordered) < math.ceil(rank / 100 * len(ordered))
