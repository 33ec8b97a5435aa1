"""What one watch has told of a prediction, and what is new in its next state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    AttemptLost,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderUnavailable,
)
from ferrotype.providers.base import Finished, Output, Progress, WatchEvent
from ferrotype.providers.cog.run import Run
from ferrotype.providers.hosted.logs import progress_of
from ferrotype.providers.hosted.outputs import read_outputs
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.hosted.text import shown

#: How the usual models word that their safety checker struck.
REFUSAL: Final = re.compile(
    r"nsfw|safety (checker|filter)|flagged as (sensitive|unsafe)|content polic", re.IGNORECASE
)
#: What the server puts before the predictor's own words, once per layer.
WRAPPING: Final = re.compile(r"^(Prediction failed: )+")


class Told:
    """One watch's memory. Times are `clock.monotonic()` seconds."""

    def __init__(self, name: str, clock: Clock, pace: Pace, *, hooked: bool) -> None:
        self._name = name
        self._clock = clock
        self._pace = pace
        self._pauses: Iterator[float] = pace.seconds(hooked=hooked)
        self._since: dict[str, float] = {}
        self._not_before = float("-inf")  # when the server may be asked again
        self._began = clock.monotonic()
        self._fraction = 0.0
        self._read = 0  # entries of the output that were read
        self._count = 0  # pictures among them

    def left(self, timeout: float) -> float:
        """Seconds until it lasts longer than `timeout`."""
        return self._began + timeout - self._clock.monotonic()

    def pause(self) -> float:
        """Seconds until the next look."""
        return max(next(self._pauses), self._not_before - self._clock.monotonic())

    def for_long(self, what: str, so: bool, wait: float = 0.0) -> bool:
        """Whether `what` has been so, or will have been after a `wait` that it asks for, for longer than a
        watch is patient. No look comes before that wait is over."""
        now = self._clock.monotonic()
        if not so:
            self._since.pop(what, None)
            return False
        self._not_before = now + wait
        return now + wait - self._since.setdefault(what, now) >= self._pace.patience

    def events(self, state: Mapping[str, Any]) -> list[WatchEvent]:
        """What is new. Raises ProviderFailed for an inline picture that is none."""
        found: list[WatchEvent] = []
        fraction = progress_of(str(state.get("logs") or ""))
        if fraction is not None and fraction > self._fraction:
            self._fraction = fraction
            found.append(Progress(fraction))
        return [*found, *self._outputs(state)]

    def _outputs(self, state: Mapping[str, Any]) -> list[Output]:
        output = state.get("output")
        if not isinstance(output, list):
            # One file, or an object of them: whole only at the end.
            output = [output] if state.get("status") == "succeeded" else []
        fresh = read_outputs(output[self._read :], self._name, first=self._count)
        self._read = max(self._read, len(output))
        self._count += len(fresh)
        return fresh

    def finished(self, run: Run) -> Finished:
        """The end of an ended run. Raises what it came to when no picture was told."""
        problem = self._problem(run)
        if problem is not None and not self._count:
            raise problem
        metrics = run.state.get("metrics")
        seconds = metrics.get("predict_time") if isinstance(metrics, Mapping) else None
        return Finished(problem, seconds=float(seconds) if isinstance(seconds, int | float) else None)

    def _problem(self, run: Run) -> ProviderProblem | None:
        if run.problem is not None:
            return self._broken(run, run.problem)
        status = run.state.get("status")
        if status == "canceled":
            return ProviderInterrupted(f"The prediction was canceled at {self._name}.")
        if status == "failed":
            words = WRAPPING.sub("", shown(run.state.get("error") or ""))
            if REFUSAL.search(words):
                return ProviderRefused(f"{self._name}: {words}")
            return ProviderFailed(f"{self._name}: {words or 'the model failed and says nothing.'}")
        if not self._count:
            return ProviderFailed(f"{self._name}: the model gave no picture.")
        return None

    def _broken(self, run: Run, problem: ProviderProblem) -> ProviderProblem:
        """What an open request came to that seemed to be accepted."""
        if run.canceled:
            return ProviderInterrupted(f"{self._name} was told to stop.")
        if run.cut:
            return AttemptLost(
                f"{problem.detail} Cog stops what nobody waits for and keeps no result; a proxy between may"
                " have a time-out that is too short."
            )
        if isinstance(problem, ProviderBusy | ProviderUnavailable | ProviderMisconfigured):
            return AttemptLost(problem.detail)  # a late refusal
        return problem
