"""What the states of one prediction tell.

| a prediction is            | told                                                                |
| -------------------------- | ------------------------------------------------------------------- |
| `starting`                 | Queued                                                              |
| `processing`               | Started, Progress out of its logs, every picture that it has        |
| `succeeded`                | the pictures, Finished, with a problem where a filter withheld some |
| `failed`                   | ProviderRefused or ProviderFailed; AttemptLost if it never started  |
| `canceled`                 | ProviderInterrupted; ProviderTimeout after its deadline             |
| `aborted` (never started)  | ProviderTimeout                                                     |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ferrotype.domain.problems import (
    AttemptLost,
    ProviderFailed,
    ProviderInterrupted,
    ProviderProblem,
    ProviderRefused,
    ProviderTimeout,
)
from ferrotype.providers.base import AttemptRequest, Finished, Progress, Queued, Started, WatchEvent
from ferrotype.providers.hosted.logs import progress_of
from ferrotype.providers.hosted.outputs import read_outputs
from ferrotype.providers.hosted.text import shown
from ferrotype.providers.replicate.prediction import seconds_of, time_of

REFUSED: Final = re.compile(
    r"nsfw|flagged as|\bE005\b|content (?:policy|moderation)|(?:request|content) moderated|sensitive content",
    re.IGNORECASE,
)
#: Failures of Replicate's own machinery. Only what ran is charged, so what never started may be made again.
MACHINERY: Final = re.compile(
    r"prediction interrupted|\(code: PA\)|\bdirector: |\bE(?:6716|8765|9243|98\d\d)\b", re.IGNORECASE
)
INTERRUPTED: Final = re.compile(r"prediction interrupted|\(code: PA\)", re.IGNORECASE)
#: What FLUX and SDXL print for each picture that their filter drops.
WITHHELD: Final = "NSFW content detected"


class Story:
    """Tells each thing once, whatever comes twice or late. `secrets` are cut out of the model's words."""

    def __init__(self, name: str, request: AttemptRequest, secrets: tuple[str, ...] = ()) -> None:
        self._name = name
        self._request = request
        self._secrets = secrets
        self._waiting = self._started = False
        self._progress = 0.0
        self._outputs = 0

    def told_by(self, prediction: Mapping[str, Any]) -> Iterator[WatchEvent]:
        """What is new. Raises the problem of one that ended badly."""
        status = prediction["status"]
        if status == "starting":
            if not (self._waiting or self._started):
                self._waiting = True
                yield Queued()
            return
        if status in ("processing", "succeeded"):
            yield from self._work(prediction)
        if status == "succeeded":
            yield Finished(self._missing(prediction), seconds=seconds_of(prediction))
        elif status != "processing":
            raise self._problem(status, prediction)

    def _work(self, prediction: Mapping[str, Any]) -> Iterator[WatchEvent]:
        if not self._started:
            self._started = True
            yield Started()
        fraction = progress_of(str(prediction.get("logs") or ""))
        if fraction is not None and fraction > self._progress:
            self._progress = fraction
            yield Progress(fraction)
        # A prediction that was waited for has its output before it has succeeded.
        for output in read_outputs(prediction.get("output"), self._name)[self._outputs :]:
            self._outputs += 1
            yield output

    def _missing(self, prediction: Mapping[str, Any]) -> ProviderProblem | None:
        """The problem of a success with fewer pictures than asked for; raised where there are none."""
        wanted = self._request.num_images
        if self._outputs >= wanted:
            return None
        if self._outputs == 0 and prediction.get("data_removed"):
            raise ProviderFailed(f"{self._name} has removed the pictures an hour after they were made.")
        words = f"{self._name} made {self._outputs} of {wanted} pictures"
        problem: ProviderProblem = ProviderFailed(f"{words}.")
        if WITHHELD in str(prediction.get("logs") or ""):
            problem = ProviderRefused(f"{words}: its content filter withheld the rest.")
        if self._outputs == 0:
            raise problem
        return problem

    def _problem(self, status: str, prediction: Mapping[str, Any]) -> ProviderProblem:
        if status == "aborted":
            return ProviderTimeout(f"{self._name} did not start it before its deadline.")
        if status == "canceled":
            deadline, ended = time_of(prediction, "deadline"), time_of(prediction, "completed_at")
            if deadline is not None and ended is not None and ended >= deadline:
                return ProviderTimeout(f"{self._name} stopped it at its deadline.")
            return ProviderInterrupted(f"It was canceled at {self._name}.")
        if status != "failed":
            return ProviderFailed(f"{self._name} tells of an unknown state: {shown(status, self._secrets)}.")
        error = str(prediction.get("error") or "")
        said = shown(error, self._secrets)
        words = f"{self._name} failed: {said}" if said else f"{self._name} failed."
        if REFUSED.search(error):
            return ProviderRefused(f"{self._name} refused: {said}")
        if MACHINERY.search(error):
            if prediction.get("started_at") is None and seconds_of(prediction) is None:
                return AttemptLost(f"{words} (It had not started.)")
            if INTERRUPTED.search(error):
                return ProviderInterrupted(words)
        return ProviderFailed(words)
