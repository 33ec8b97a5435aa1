"""fal's errors, and what each of them means for the call.

There is no failed state: a call that went wrong is COMPLETED, and the GET of its result answers with the
status and the body of the error. Two forms are in use (fal.ai/docs: model errors, request errors)::

    {"detail": [{"loc": ["body", "prompt"], "msg": "...", "type": "content_policy_violation", ...}]}
    {"detail": "Request timed out", "error_type": "request_timeout"}     X-Fal-Error-Type: request_timeout
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ferrotype.domain.problems import (
    AttemptLost,
    ProviderFailed,
    ProviderInterrupted,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
)
from ferrotype.providers.hosted.api import Reply
from ferrotype.providers.hosted.text import said

#: Types of errors whose meaning their HTTP status does not tell. Where no runner ever took the call, nothing
#: ran, and fal charges for nothing but results: it may be made elsewhere.
MEANINGS: Final[Mapping[str, type[ProviderProblem]]] = {
    "content_policy_violation": ProviderRefused,
    "request_timeout": ProviderTimeout,
    "startup_timeout": AttemptLost,
    "runner_scheduling_failure": AttemptLost,
    "runner_connection_refused": AttemptLost,
    "generation_timeout": ProviderTimeout,
    "client_cancelled": ProviderInterrupted,
    "client_disconnected": ProviderInterrupted,
    "no_media_generated": ProviderFailed,
    "downstream_service_error": ProviderFailed,
    "bad_request": ProviderRejected,
}
PHRASES: Final[Mapping[type[ProviderProblem], str]] = {
    AttemptLost: "found no runner that could start the call",
    ProviderRefused: "refused by its content policy",
    ProviderRejected: "calls the input wrong",
    ProviderTimeout: "gave the call up",
    ProviderInterrupted: "stopped the call",
    ProviderFailed: "failed",
}
#: Statuses of a result that say something about the input; it ran into them or was not run at all.
WRONG_INPUT: Final = frozenset({400, 404, 405, 409, 413, 415, 422})
STOPPED: Final = 499


def error_of(reply: Reply) -> Mapping[str, Any] | None:
    """The body of an error that a model or fal's own dispatcher made; None for anything else, like the error
    page of a gateway, which says nothing about the call."""
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None
    return body if isinstance(body, Mapping) and body.get("detail") else None


def types_of(reply: Reply) -> list[str]:
    """Every type that an error has, its own before those of its details."""
    body = error_of(reply) or {}
    details = body.get("detail")
    parts = details if isinstance(details, list) else []
    found = [reply.headers.get("X-Fal-Error-Type"), body.get("error_type")]
    found += [part.get("type") for part in parts if isinstance(part, Mapping)]
    return [kind for kind in found if isinstance(kind, str)]


def refused_by_policy(reply: Reply) -> bool:
    """Whether the error is the content policy's."""
    return any(MEANINGS.get(kind) is ProviderRefused for kind in types_of(reply))


def is_unfinished(reply: Reply) -> bool:
    """Whether the result was asked for too early."""
    return reply.status == 400 and b"still in progress" in reply.body


def is_unknown(reply: Reply) -> bool:
    """Whether the queue does not know the request (any more); an app that has no such path answers 404 too,
    and that is the call's end."""
    return reply.status == 404 and b"Path " not in reply.body


def problem_of(name: str, reply: Reply, secrets: tuple[str, ...]) -> ProviderProblem:
    """What a call came to whose result is the error `reply`."""
    kinds = [MEANINGS[kind] for kind in types_of(reply) if kind in MEANINGS]
    meaning = kinds[0] if kinds else _by_status(reply)
    words = said(reply.body, secrets)
    return meaning(f"{name} {PHRASES[meaning]} ({reply.status}){f': {words}' if words else '.'}")


def _by_status(reply: Reply) -> type[ProviderProblem]:
    if reply.headers.get("X-Fal-Request-Timeout-Type") or reply.status == 504:
        return ProviderTimeout
    if reply.status == STOPPED:
        return ProviderInterrupted
    return ProviderRejected if reply.status in WRONG_INPUT else ProviderFailed
