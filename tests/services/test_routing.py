"""Which deployment gets a call: priority, weight, breakers, rate limits, bounds."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from ferrotype.catalogue import Catalogue, CatalogueSettings, load_catalogue
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import (
    AttemptLost,
    NoDeployment,
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.services.routing import LOOK_AGAIN, Again, Routing
from ferrotype.services.settings import RoutingSettings
from ferrotype.services.standing import Standings, key_of

FAULT = ProviderUnavailable("gone")


def model(*deployments: dict[str, Any]) -> Model:
    return Model.model_validate(
        {
            "name": "me/model",
            "operations": ["generate"],
            "deployments": [{"target": "t", **each} for each in deployments],
        }
    )


class Bench:
    """A routing with a manual clock; every connection that a model names is configured."""

    def __init__(self, *deployments: dict[str, Any], seed: int = 1) -> None:
        self.clock = ManualClock()
        self.model = model(*deployments)
        self.standings = Standings(self.clock, RoutingSettings(), Random(seed))
        catalogue: Catalogue = load_catalogue(CatalogueSettings())
        providers: Any = {each.provider: object() for each in self.model.deployments}
        self.routing = Routing(providers, catalogue, self.standings, Random(seed))

    def named(self, provider: str) -> Deployment:
        return next(each for each in self.model.deployments if each.provider == provider)

    def take(self, *avoid: str) -> str:
        return self.routing.take(self.model, {key_of(self.named(name)) for name in avoid}).provider

    def waits(self) -> Again:
        with pytest.raises(Again) as caught:
            self.take()
        return caught.value

    def fail(self, provider: str, times: int, problem: Problem = FAULT) -> None:
        for _ in range(times):
            self.standings.record(self.named(provider), problem)


def test_weights_are_shares() -> None:
    bench = Bench({"provider": "a", "weight": 3}, {"provider": "b"})
    counts = Counter(bench.take() for _ in range(2_000))
    assert 1_400 < counts["a"] < 1_600


def test_a_lower_priority_stands_by() -> None:
    bench = Bench({"provider": "spare", "priority": 1}, {"provider": "first"})
    assert {bench.take() for _ in range(50)} == {"first"}
    assert bench.take("first") == "spare"
    with pytest.raises(NoDeployment):
        bench.take("first", "spare")


def test_an_unconfigured_deployment_is_not_there() -> None:
    bench = Bench({"provider": "a"}, {"provider": "b"})
    del bench.routing.providers["a"]  # type: ignore[attr-defined]
    assert {bench.take() for _ in range(20)} == {"b"}


def test_a_breaker_opens_probes_and_closes() -> None:
    bench = Bench({"provider": "a"}, {"provider": "b", "priority": 1})
    bench.fail("a", 4)
    assert bench.standings.state(bench.named("a")) == "closed"
    bench.fail("a", 1)
    assert bench.standings.state(bench.named("a")) == "open"
    assert bench.take() == "b"
    bench.clock.advance(17)
    assert bench.standings.state(bench.named("a")) == "half-open"
    assert bench.take() == "a"  # the probe
    assert bench.take() == "b"  # one at a time
    bench.standings.record(bench.named("a"), None)
    bench.standings.leave(bench.named("a"))
    assert bench.standings.state(bench.named("a")) == "closed"
    assert [bench.take(), bench.take()] == ["a", "a"]


def test_a_failed_probe_opens_it_for_longer() -> None:
    bench = Bench({"provider": "a"})
    bench.fail("a", 5)
    first = bench.waits().seconds
    bench.clock.advance(first + 0.1)
    assert bench.take() == "a"
    bench.fail("a", 1)
    bench.standings.leave(bench.named("a"))
    second = bench.waits().seconds
    assert second > 1.5 * first
    for _ in range(12):
        bench.clock.advance(bench.waits().seconds + 0.1)
        bench.take()
        bench.fail("a", 1)
        bench.standings.leave(bench.named("a"))
    assert bench.waits().seconds <= 300 * 1.1


@pytest.mark.parametrize("cls", [ProviderRefused, ProviderRejected])
def test_what_is_wrong_with_an_order_speaks_for_the_deployment(cls: type[Problem]) -> None:
    bench = Bench({"provider": "a"})
    bench.fail("a", 50, cls("no"))
    assert bench.take() == "a"


@pytest.mark.parametrize("cls", [ProviderFailed, ProviderTimeout, AttemptLost, OutcomeUnknown])
def test_what_is_wrong_with_a_deployment_opens_it(cls: type[Problem]) -> None:
    bench = Bench({"provider": "a"})
    bench.fail("a", 5, cls("no"))
    assert bench.waits().seconds > 10


def test_good_calls_between_bad_ones_keep_it_closed() -> None:
    bench = Bench({"provider": "a"})
    for _ in range(50):
        bench.fail("a", 1)
        for _ in range(2):
            bench.standings.record(bench.named("a"), None)
    assert bench.take() == "a"


def test_a_useless_key_opens_at_once() -> None:
    bench = Bench({"provider": "a"}, {"provider": "b", "priority": 1})
    bench.fail("a", 1, ProviderMisconfigured("401"))
    assert bench.take() == "b"


def test_a_rate_limit_is_obeyed_and_nothing_else_waits() -> None:
    bench = Bench({"provider": "a"}, {"provider": "b", "priority": 1})
    bench.fail("a", 1, ProviderBusy("429", retry_after=12))
    assert bench.take() == "b"
    bench.clock.advance(11.9)
    assert bench.take() == "b"
    bench.clock.advance(0.2)
    assert bench.take() == "a"


def test_a_rate_limit_without_a_time_backs_off() -> None:
    bench = Bench({"provider": "a"})
    waits = []
    for _ in range(8):
        bench.fail("a", 1, ProviderBusy("429"))
        waits.append(bench.waits().seconds)
        bench.clock.advance(waits[-1] + 0.01)
        bench.take()
        bench.standings.leave(bench.named("a"))
    assert waits[0] < waits[1] < waits[2] < waits[3]
    assert max(waits) <= 36


def test_a_full_deployment_is_waited_for() -> None:
    bench = Bench(
        {"provider": "a", "max_concurrent": 2}, {"provider": "b", "max_concurrent": 1, "priority": 1}
    )
    assert [bench.take() for _ in range(3)] == ["a", "a", "b"]
    again = bench.waits()
    assert again.seconds == LOOK_AGAIN
    assert {each.provider for each in again.full} == {"a", "b"}
    for job in ("one", "two"):
        bench.standings.park(bench.named("a"), job)
    assert bench.standings.park(bench.named("a"), "one") == 0  # once each
    bench.standings.leave(bench.named("a"))
    assert [bench.standings.next_parked(bench.named("a")) for _ in range(3)] == ["one", "two", None]
    assert bench.take() == "a"


def test_a_call_that_is_under_way_already_counts_over_the_bound() -> None:
    bench = Bench({"provider": "a", "max_concurrent": 1})
    bench.standings.enter(bench.named("a"))
    bench.standings.enter(bench.named("a"))
    bench.standings.leave(bench.named("a"))
    assert bench.waits().full
    bench.standings.leave(bench.named("a"))
    assert bench.take() == "a"
