"""Google's errors: `{"error": {"code", "message", "status", "details": [...]}}` (google.rpc.Status in JSON).

| status | problem |
| --- | --- |
| 400 with the reason API_KEY_INVALID, 400 FAILED_PRECONDITION (region, billing) | ProviderMisconfigured |
| 400 INVALID_ARGUMENT and the like | ProviderRejected |
| 403, 404 | ProviderMisconfigured |
| 429 RESOURCE_EXHAUSTED, 503 UNAVAILABLE | ProviderBusy, with the delay that it asks for |
| 429 because of a quota of zero, or of spent credits | ProviderMisconfigured: waiting does not help |
| 499 CANCELLED | ProviderInterrupted |
| 500 INTERNAL and the like | ProviderFailed: it broke, and Google charges for no answer but a 200 |
| 504 DEADLINE_EXCEEDED | ProviderTimeout |
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ferrotype.domain.problems import (
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
    ProviderTimeout,
)
from ferrotype.providers.hosted.api import Api, Reply, seconds_of
from ferrotype.providers.hosted.text import said

#: Reasons of google.rpc.ErrorInfo that mean the key.
KEY_REASONS: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
#: A 429 that no waiting mends: a model without a free tier, spent credits.
SPENT: Final = re.compile(r"\blimit: 0\b|credits are depleted", re.IGNORECASE)
#: HTTP statuses by google.rpc.Code, for errors in mid stream that name no number.
CODES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def refused(api: Api, what: str, reply: Reply, *, starts_work: bool = False) -> ProviderProblem:
    """The problem of an answer that is not 2xx. What is not in Google's form is judged by its status."""
    error = error_in(reply.body)
    if error is None:
        return api.refused(what, reply, starts_work=starts_work)
    status, reasons = error.get("status"), _reasons(error)
    words = said(reply.body, api.secrets)
    where = f"{what}: {api.name}"
    match reply.status:
        case 400 if KEY_REASONS & reasons:
            return ProviderMisconfigured(f"{where} refused our key (400). {words}")
        case 400 if status == "FAILED_PRECONDITION":
            return ProviderMisconfigured(f"{where} is not to be used like this (400). {words}")
        case 429 if SPENT.search(str(error.get("message"))):
            return ProviderMisconfigured(f"{where} has no quota left for our account (429). {words}")
        case 429 | 503:
            delay = _delay(error)
            return ProviderBusy(
                f"{where} is busy ({reply.status}). {words}",
                retry_after=delay if delay is not None else reply.retry_after,
            )
        case code if code == 499 or code >= 500:
            return ended(api, error)
        case _:
            return api.refused(what, reply, starts_work=starts_work)


def ended(api: Api, error: Mapping[str, Any]) -> ProviderProblem:
    """The problem of a call that was taken and ended with an error, in mid stream or instead of an answer."""
    status = str(error.get("status", ""))
    number = error.get("code")
    code = number if isinstance(number, int) else CODES.get(status, 500)
    words = said(json.dumps({"error": error}).encode(), api.secrets)
    tail = f" {words}" if words else ""
    match code:
        case 499:
            return ProviderInterrupted(f"The call was stopped at {api.name}.{tail}")
        case 504:
            return ProviderTimeout(f"{api.name} did not get done in time.{tail}")
        case 400:
            return ProviderRejected(f"{api.name} calls it wrong (400).{tail}")
        case _:
            return ProviderFailed(f"{api.name} failed ({code}).{tail}")


def error_in(body: bytes) -> Mapping[str, Any] | None:
    """The error of an answer; a stream that is no event stream has it in a list."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    value = value[0] if isinstance(value, list) and value else value
    error = value.get("error") if isinstance(value, Mapping) else None
    return error if isinstance(error, Mapping) else None


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    return [item for item in details if isinstance(item, Mapping)] if isinstance(details, list) else []


def _reasons(error: Mapping[str, Any]) -> set[str]:
    return {str(detail["reason"]) for detail in _details(error) if detail.get("reason")}


def _delay(error: Mapping[str, Any]) -> float | None:
    """`google.rpc.RetryInfo.retryDelay` in seconds: `17s`, `0.5s`."""
    for detail in _details(error):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return seconds_of(delay[:-1])
    return None
