"""How long calls of a model take, as they were measured, and when pictures may be expected.

The model is one of waves: as many calls at once as their class has seats, each as long as the median of the
last ones. It is coarse on purpose. It knows one duration per model, whatever the size or the operation; it
does not know that a provider may be slower when it is asked more, nor the orders that come later and go
before. docs/BATCHES.md says the same to users.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ferrotype.catalogue import Catalogue
from ferrotype.db import durations
from ferrotype.db.database import Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Attempt, Generation, shares
from ferrotype.domain.states import ATTEMPT, GENERATION, GenerationState
from ferrotype.engine.base import Engine
from ferrotype.engine.settings import DEFAULT_SEATS

#: What was read is taken as it is for so long, in seconds.
KEPT: Final = 5.0
DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Duration:
    """Of one call to a provider, in seconds; `samples` calls were measured."""

    p50_s: float
    p95_s: float
    mean_s: float
    samples: int


@dataclass(frozen=True, slots=True)
class Queue:
    """`ahead` jobs hold one of the `seats` of their classes, or wait for one."""

    ahead: int
    seats: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds until the `first` and until `all` of some calls have ended; at least `samples` calls of each
    model were measured."""

    first: float
    all: float
    samples: int


class Durations:
    """Reads and keeps them. `classes` gives the seats per class; a class not named has one."""

    def __init__(
        self, engine: Engine, catalogue: Catalogue, clock: Clock, classes: Mapping[str, int]
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._clock = clock
        self._classes = classes
        self._kept: dict[str, tuple[float, Duration | None]] = {}

    def seats(self, class_: str) -> int:
        """How many calls of the class run at once."""
        return self._classes.get(class_, DEFAULT_SEATS)

    def of(self, tx: Transaction, model: str) -> Duration | None:
        """That of the model's last calls that made pictures; None when there was none."""
        now = self._clock.monotonic()
        kept = self._kept.get(model)
        if kept is None or now - kept[0] >= KEPT:
            kept = self._kept[model] = now, measured(durations.recent(tx, model))
        return kept[1]

    def ordered(self, tx: Transaction, generation: Generation, position: int | None) -> float | None:
        """`fresh` within the order's own transaction: what is known is brought up to date now and then."""
        self.of(tx, generation.model)
        return self.fresh(generation, position)

    def fresh(self, generation: Generation, position: int | None) -> float | None:
        """Seconds until a generation that was just ordered ends, by what was read last: nothing is looked up.
        `position` is that of its first job in the queue, None where that has begun."""
        _, duration = self._kept.get(generation.model, (0.0, None))
        known = self._catalogue.models.get(generation.model)
        if duration is None or known is None or GENERATION.is_terminal(generation.status):
            return None
        seats = self.seats(generation.class_)
        calls = len(shares(generation.num_images, known.capabilities.max_per_call))
        ahead = 0 if position is None else seats + position - 1
        return round(expected(ahead, calls, seats, duration)[1], DIGITS)

    def forecast(
        self, tx: Transaction, work: Mapping[tuple[str, str], int], priority: int
    ) -> tuple[Queue, Forecast | None]:
        """What so many calls by (class, model) would find before them if they were ordered now, and when they
        would end; None for a model without measurements."""
        by_class: dict[str, dict[str, int]] = {}
        for (class_, model), calls in work.items():
            by_class.setdefault(class_, {})[model] = calls
        ahead = {class_: self._engine.ahead(tx, class_, priority) for class_ in by_class}
        queue = Queue(sum(ahead.values()), sum(self.seats(class_) for class_ in by_class))
        known = {model: self.of(tx, model) for _, model in work}
        durations = {model: duration for model, duration in known.items() if duration is not None}
        if len(durations) < len(known):
            return queue, None
        ends = [
            expected(
                ahead[class_],
                sum(models.values()),
                self.seats(class_),
                together([(durations[model], calls) for model, calls in models.items()]),
            )
            for class_, models in by_class.items()
        ]
        return queue, Forecast(
            round(min((first for first, _ in ends), default=0.0), DIGITS),
            round(max((last for _, last in ends), default=0.0), DIGITS),
            min((duration.samples for duration in durations.values()), default=0),
        )

    def eta(
        self, tx: Transaction, generation: Generation, position: int | None, attempts: Sequence[Attempt]
    ) -> float | None:
        """Seconds until a generation is expected to end; None when it has ended, and without measurements.
        `position` is that of its first job in the queue, `attempts` are its own."""
        running = generation.status is GenerationState.RUNNING
        if not running and position is None:
            return None
        duration = self.of(tx, generation.model)
        if duration is None:
            return None
        rest = self._rest(duration, generation, attempts) if running else 0.0
        if generation.num_images > 1:
            last = durations.last_queued(tx, generation.id)
            position = self._engine.position(tx, last) if last else None
        if position is not None:
            seats = self.seats(generation.class_)
            rest = max(rest, expected(seats + position - 1, 1, seats, duration)[1])
        return round(rest, DIGITS)

    def _rest(self, duration: Duration, generation: Generation, attempts: Sequence[Attempt]) -> float:
        """What the newest of the calls that are under way still takes."""
        under_way = [each.created_at for each in attempts if not ATTEMPT.is_terminal(each.state)]
        since = max(under_way, default=None if attempts else generation.started_at)
        if since is None:  # between two calls: the next is still to come
            return duration.p50_s
        return max(0.0, duration.p50_s - (self._clock.now() - since).total_seconds())


def expected(ahead: int, calls: int, seats: int, duration: Duration) -> tuple[float, float]:
    """Seconds until the first and until the last of `calls` calls have ended, with `ahead` jobs before them.

    Those with a seat are taken as half done. A wave that others make takes the mean, the last of one's own
    the median.
    """
    done = 0.5 if ahead else 0.0

    def end(index: int) -> float:
        waves = (ahead + index) // seats
        return (max(0.0, waves - done) * duration.mean_s if waves else 0.0) + duration.p50_s

    return end(0), end(calls - 1)


def together(parts: Sequence[tuple[Duration, int]]) -> Duration:
    """That of calls to several models, of each so many."""
    calls = sum(count for _, count in parts)

    def weighted(of: Callable[[Duration], float]) -> float:
        return sum(of(duration) * count for duration, count in parts) / calls

    return Duration(
        weighted(lambda each: each.p50_s),
        weighted(lambda each: each.p95_s),
        weighted(lambda each: each.mean_s),
        min(duration.samples for duration, _ in parts),
    )


def measured(seconds: Sequence[float]) -> Duration | None:
    """The figures of some durations; None of none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return Duration(
        _at(ordered, 0.5), _at(ordered, 0.95), round(sum(ordered) / len(ordered), DIGITS), len(ordered)
    )


def _at(ordered: Sequence[float], share: float) -> float:
    """The smallest that at least this share is not longer than."""
    return round(ordered[math.ceil(share * len(ordered)) - 1], DIGITS)
