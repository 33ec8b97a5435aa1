"""The service's errors as problems.

`{"error": {"message", "type", "param", "code"}}` at OpenAI and most others, `{"detail": ...}` at servers made
with FastAPI (vLLM-Omni). Sources: openai-python's `_exceptions.py` and `_base_client.py` (`x-should-retry`,
`retry-after-ms`), OpenAI's guide to error codes, error bodies that users of the Images API reported.

| code or type | problem |
| --- | --- |
| moderation_blocked, content_policy_violation, content_filter ... | ProviderRefused |
| insufficient_quota, billing_hard_limit_reached, model_not_found ... | ProviderMisconfigured |
| 408, 425, 429, 503 | ProviderBusy; ProviderMisconfigured where waiting is said to be no use |
| 409 that the service asks to be sent again | ProviderBusy |
| anything else | as `providers/hosted/api.py` says |
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.domain.problems import (
    AttemptLost,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
)
from ferrotype.providers.hosted.api import BUSY, MAX_RETRY_AFTER, Api, Reply
from ferrotype.providers.hosted.text import said, shown

REFUSALS: Final = frozenset(
    {
        "moderation_blocked",
        "content_policy_violation",
        "content_filter",
        "contentfilter",
        "responsibleaipolicyviolation",
        "safety_violation",
        "safety_violations",
    }
)
#: For servers with codes of their own.
REFUSAL_WORDS: Final = re.compile(
    r"safety system|content[ _-](?:policy|management policy|filter|moderation)|safety[_ ]violation", re.I
)
#: It surely did not run, and waiting does not help.
ACCOUNT: Final = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "account_deactivated",
        "invalid_api_key",
        "model_not_found",
        "unsupported_country_region_territory",
    }
)
#: It surely did not run, and may be sent again later.
LATER: Final = frozenset({"rate_limit_exceeded", "slow_down", "server_overloaded", "overloaded_error"})
INPUT: Final = frozenset({"invalid_request_error", "image_generation_user_error", "BadRequestError"})


@dataclass(frozen=True, slots=True)
class ServiceError:
    """What the service says; empty where it does not."""

    code: str = ""
    type: str = ""
    message: str = ""

    @classmethod
    def of(cls, value: Any) -> ServiceError:
        """Out of an answer's JSON, or of the data of an event."""
        error = value.get("error", value) if isinstance(value, dict) else value
        if not isinstance(error, dict):
            return cls(message=error if isinstance(error, str) else "")
        code, kind = error.get("code"), error.get("type")
        message = error.get("message") or error.get("detail") or error.get("error")
        return cls(
            code="" if code is None else str(code),
            type="" if kind is None else str(kind),
            message=message if isinstance(message, str) else "",
        )

    @property
    def is_refusal(self) -> bool:
        """Whether its content policy speaks."""
        names = {self.code.lower(), self.type.lower()}
        return bool(names & REFUSALS) or REFUSAL_WORDS.search(self.message) is not None


def refused(api: Api, what: str, reply: Reply) -> ProviderProblem:
    """The problem of an answer that is not 2xx, to a call that starts work."""
    error = _error(reply.body)
    words = said(reply.body, api.secrets)
    tail = f" {words}" if words else ""
    again = reply.headers.get("x-should-retry", "").lower()
    if reply.status < 500 and error.is_refusal:
        return ProviderRefused(f"{api.name} refused by its content policy.{tail}")
    if reply.status < 500 and error.code in ACCOUNT and reply.status != 401:
        return ProviderMisconfigured(f"{what}: {api.name} does not serve our account so.{tail}")
    if reply.status in BUSY and again == "false":
        return ProviderMisconfigured(f"{what}: {api.name} will not, now or later ({reply.status}).{tail}")
    # A 5xx may come of work that was done and is charged, whatever it says of sending it again.
    if reply.status in BUSY or (again == "true" and reply.status == 409):
        return ProviderBusy(
            f"{what}: {api.name} is busy ({reply.status}).{tail}", retry_after=_retry_after(reply)
        )
    return api.refused(what, reply, starts_work=True)


def broken(api: Api, value: Any) -> ProviderProblem:
    """The problem of an error in an answer that began well."""
    error = ServiceError.of(value)
    words = shown(error.message or error.code, api.secrets)
    tail = f" {words}" if words else ""
    if error.is_refusal:
        return ProviderRefused(f"{api.name} refused by its content policy.{tail}")
    if error.code in LATER or error.type in LATER:
        return AttemptLost(f"{api.name} took the call and gave it up at once.{tail}")
    if error.type in INPUT:
        return ProviderRejected(f"{api.name} calls the order wrong.{tail}")
    return ProviderFailed(f"{api.name} failed.{tail}")


def _error(body: bytes) -> ServiceError:
    try:
        return ServiceError.of(json.loads(body))
    except ValueError:
        return ServiceError()


def _retry_after(reply: Reply) -> float | None:
    """Seconds; `retry-after-ms` is the more exact of the two."""
    try:
        milliseconds = float(reply.headers.get("retry-after-ms", ""))
    except ValueError:
        return reply.retry_after
    if not milliseconds >= 0:
        return reply.retry_after
    return min(milliseconds / 1_000, MAX_RETRY_AFTER)
