"""How a job ended badly, as a problem.

RunPod itself has no words for it: `error` is whatever the handler raised or returned. An exception becomes
JSON text with `error_type`, `error_message` and a traceback (`rp_job.py` of the SDK `runpod` 1.12); of what
worker-comfyui returns, `{error, details}`, only `details` stays in `output`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ferrotype.domain.problems import (
    ProviderFailed,
    ProviderInterrupted,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
)
from ferrotype.providers.hosted.text import MAX_TEXT, said, shown

#: A content policy's words. Narrow, since "safety checker" also stands in the messages of broken models.
REFUSED: Final = re.compile(
    r"\bnsfw\b|\bflagged (?:as|by|for)\b|content (?:policy|moderation)"
    r"|(?:unsafe|prohibited|sensitive) content"
    r"|(?:blocked|rejected|refused) by (?:the |its |our )?(?:safety|content|moderation)",
    re.IGNORECASE,
)
#: Words for a wrong input: of worker-comfyui, of RunPod's `rp_validator`, of its public endpoints.
REJECTED: Final = re.compile(
    r"^workflow validation failed|^missing '\w+' parameter|^please provide input|^invalid (?:json|parameter)"
    r"|is a required input\.|is not a valid input option|does not meet the constraints"
    r"|must be a list of objects with 'name' and 'image' keys",
    re.IGNORECASE,
)
PLACES: Final = ("error", "message", "errors", "details")
#: Words of the platform for a worker that did not come back.
TIMED_OUT: Final = re.compile(r"^job timed out", re.IGNORECASE)


def failure(job: Mapping[str, Any], name: str, secrets: tuple[str, ...] = ()) -> ProviderProblem | None:
    """Why a job with that status ended badly; None when it ended well or goes on."""
    match job.get("status"):
        case "FAILED":
            return verdict(name, complaint(job, secrets))
        case "CANCELLED":
            return ProviderInterrupted(f"The job was canceled at {name}.")
        case "TIMED_OUT":
            return ProviderTimeout(f"{name} gave the job up: no worker took it or ended it in time.")
        case _:
            return None


def verdict(name: str, words: str) -> ProviderProblem:
    """The problem that a handler's words amount to."""
    if REFUSED.search(words):
        return ProviderRefused(f"{name} refused it: {words}")
    if REJECTED.search(words):
        return ProviderRejected(f"{name} calls the input wrong: {words}")
    if TIMED_OUT.search(words):
        return ProviderTimeout(f"{name} gave the job up: {words}")
    return ProviderFailed(f"{name} failed: {words or 'it does not say why'}")


def complaint(job: Mapping[str, Any], secrets: tuple[str, ...] = ()) -> str:
    """What a job says of itself: its `error`, then `error`, `message`, `errors` and `details` of `output`."""
    output = job.get("output")
    places = [job.get("error")]
    if isinstance(output, Mapping):
        # worker-comfyui before 5.0 put the picture, too, into `message`.
        keys = ["errors", "details"] if output.get("status") == "success" else PLACES
        places += [output.get(key) for key in keys]
    parts = [words for place in places if place and (words := _words(place, secrets))]
    whole = ": ".join(dict.fromkeys(parts))
    return whole if len(whole) <= MAX_TEXT else whole[: MAX_TEXT - 1] + "…"


def _words(value: Any, secrets: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        return said(json.dumps(value).encode(), secrets)
    if value.lstrip().startswith(("{", "[")):
        return said(value.encode("utf-8", "replace"), secrets)
    return shown(" ".join(value[:4_000].split()), secrets)  # worker-comfyui lists wrong nodes line by line
