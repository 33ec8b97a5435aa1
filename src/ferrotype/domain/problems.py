"""Every error that a user can meet, as an RFC 9457 problem that knows its own fate.

The tree::

    Problem
    ├── RequestProblem          the caller can mend it; nothing was made, nothing was charged
    │   ├── MalformedRequest        400 malformed_request
    │   ├── Unauthorized            401 unauthorized
    │   ├── InsufficientCredits     402 insufficient_credits
    │   ├── Forbidden               403 forbidden
    │   ├── NotFound                404 not_found
    │   ├── MethodNotAllowed        405 method_not_allowed
    │   ├── IdempotencyConflict     409 idempotency_conflict
    │   ├── NameTaken               409 name_taken
    │   ├── NothingToDownload       409 nothing_to_download
    │   ├── NothingToRetry          409 nothing_to_retry
    │   ├── Gone                    410 gone
    │   ├── PreconditionFailed      412 precondition_failed
    │   ├── TooLarge                413 too_large
    │   ├── UnsupportedMedia        415 unsupported_media
    │   ├── RangeNotSatisfiable     416 range_not_satisfiable
    │   ├── InvalidField            422 invalid_field
    │   ├── UnknownModel            422 unknown_model
    │   ├── UnsupportedByModel      422 unsupported_by_model
    │   ├── UpgradeRequired         426 upgrade_required
    │   └── TooManyAttempts         429 too_many_attempts
    ├── ServerProblem           ours to mend
    │   ├── InternalError           500 internal_error
    │   ├── NotEnabled              501 not_enabled
    │   ├── NoDeployment            503 no_deployment
    │   ├── StoreMisconfigured      503 store_misconfigured     our key, bucket or clock is of no use there
    │   ├── CdnMisconfigured        503 cdn_misconfigured       our token or zone is of no use there
    │   └── Overloaded              503 overloaded
    │       ├── StoreUnavailable        503 store_unavailable   it cannot be reached, or is full
    │       └── CdnUnavailable          503 cdn_unavailable     it cannot be reached, or asks for patience
    ├── OriginProblem           a provider made a picture and its bytes do not come, or are none
    │   ├── OriginUnavailable       502 origin_unavailable
    │   ├── OriginTimeout           504 origin_timeout
    │   └── BrokenPicture           502 broken_picture
    └── ProviderProblem         a call to a provider ended badly
        ├── ProviderUnavailable     503 provider_unavailable    it surely did not run
        ├── ProviderBusy            503 provider_busy           it surely did not run
        ├── ProviderMisconfigured   502 provider_misconfigured  our key, account or model there is of no use
        ├── ProviderRejected        422 provider_rejected       the provider calls the input wrong
        ├── ProviderRefused         422 provider_refused        the provider's content policy
        ├── ProviderFailed          502 provider_failed         it ran and broke
        ├── ProviderTimeout         504 provider_timeout        it made no progress for too long
        ├── ProviderInterrupted     502 provider_interrupted    somebody stopped it over there
        ├── AttemptLost             502 attempt_lost            the provider forgot it; no result will come
        └── OutcomeUnknown          502 outcome_unknown         it may have run and may be charged
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

Charged = Literal["no", "yes", "unknown"]

TYPE_PREFIX: Final = "urn:ferrotype:problem:"
MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """An error with a public face.

    `detail` is shown to the caller; `field` names the offending input (dotted path), `limit` the
    bound it broke, `retry_after` the seconds after which the same call may succeed.
    """

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    retryable: ClassVar[bool] = False
    charged: ClassVar[Charged] = "no"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        limit: object | None = None,
        retry_after: float | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.limit = limit
        self.retry_after = retry_after
        self.errors = errors or []

    def to_json(self) -> dict[str, Any]:
        """The RFC 9457 object; members that say nothing are left out."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
        }
        if self.charged != "no":
            body["charged"] = self.charged
        for name in ("field", "limit", "retry_after"):
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        if self.errors:
            body["errors"] = self.errors
        return body


class RequestProblem(Problem):
    """The caller can mend it."""

    status = 400


class MalformedRequest(RequestProblem):
    code, status, title = "malformed_request", 400, "The request cannot be read"


class Unauthorized(RequestProblem):
    code, status, title = "unauthorized", 401, "A valid API key is needed"


class InsufficientCredits(RequestProblem):
    code, status, title = "insufficient_credits", 402, "Not enough credits"


class Forbidden(RequestProblem):
    code, status, title = "forbidden", 403, "Not allowed"


class NotFound(RequestProblem):
    code, status, title = "not_found", 404, "There is no such thing"


class MethodNotAllowed(RequestProblem):
    code, status, title = "method_not_allowed", 405, "That method is not served here"


class UpgradeRequired(RequestProblem):
    """Asked for by plain HTTP (RFC 9110, 15.5.22)."""

    code, status, title = "upgrade_required", 426, "This is only served by another protocol"


class IdempotencyConflict(RequestProblem):
    code, status, title = "idempotency_conflict", 409, "The idempotency key was used with another body"


class NameTaken(RequestProblem):
    code, status, title = "name_taken", 409, "That name is in use"


class NothingToDownload(RequestProblem):
    code, status, title = "nothing_to_download", 409, "There is no picture that could be downloaded"


class NothingToRetry(RequestProblem):
    code, status, title = "nothing_to_retry", 409, "There is no item that could be tried once more"


class Gone(RequestProblem):
    code, status, title = "gone", 410, "It was deleted"


class PreconditionFailed(RequestProblem):
    code, status, title = "precondition_failed", 412, "A condition of the request does not hold"


class TooLarge(RequestProblem):
    code, status, title = "too_large", 413, "The body is too large"


class UnsupportedMedia(RequestProblem):
    code, status, title = "unsupported_media", 415, "Not an image that is accepted here"


class RangeNotSatisfiable(RequestProblem):
    code, status, title = "range_not_satisfiable", 416, "The range lies outside the picture"


class InvalidField(RequestProblem):
    code, status, title = "invalid_field", 422, "A field has a value that is not allowed"


class UnknownModel(RequestProblem):
    code, status, title = "unknown_model", 422, "No such model"


class UnsupportedByModel(RequestProblem):
    code, status, title = "unsupported_by_model", 422, "The model cannot do that"


class TooManyAttempts(RequestProblem):
    """Keys were guessed; the right one is taken again after `retry_after` seconds."""

    code, status, title, retryable = "too_many_attempts", 429, "Too many wrong keys", True


class ServerProblem(Problem):
    """Ours to mend."""


class InternalError(ServerProblem):
    code, status, title = "internal_error", 500, "Something broke on our side"


class NotEnabled(ServerProblem):
    code, status, title = "not_enabled", 501, "This server does not offer that"


class NoDeployment(ServerProblem):
    code, status, title, retryable = "no_deployment", 503, "No configured deployment serves this model", True


class Overloaded(ServerProblem):
    code, status, title, retryable = "overloaded", 503, "Too much work at once", True


class StoreUnavailable(Overloaded):
    """A store cannot be reached, has no room or asks for patience: the same call may succeed later."""

    code, status, title, retryable = "store_unavailable", 503, "A store cannot be used now", True


class StoreMisconfigured(ServerProblem):
    """A store refuses us for good. Retried all the same: once it is mended the picture must get there."""

    code, status, title, retryable = "store_misconfigured", 503, "A store is not set up right", True


class CdnUnavailable(Overloaded):
    """The CDN in front cannot be told to forget a picture now."""

    code, status, title, retryable = "cdn_unavailable", 503, "The CDN cannot be told now", True


class CdnMisconfigured(ServerProblem):
    """The CDN in front refuses us. Retried all the same: what it keeps must go once that is mended."""

    code, status, title, retryable = "cdn_misconfigured", 503, "The CDN is not set up right", True


class OriginProblem(Problem):
    """A provider made a picture and its bytes do not come, or turn out to be none."""

    retryable = True


class OriginUnavailable(OriginProblem):
    code, status, title = "origin_unavailable", 502, "The picture's bytes cannot be had from its provider"


class OriginTimeout(OriginProblem):
    code, status, title = "origin_timeout", 504, "The picture's bytes did not come in time"


class BrokenPicture(OriginProblem):
    """The bytes are here and cannot be decoded."""

    code, status, title, retryable = "broken_picture", 502, "The picture is damaged", False


class ProviderProblem(Problem):
    """A call to a provider ended badly."""

    status = 502


class ProviderUnavailable(ProviderProblem):
    """The call surely did not run: it may go to another deployment or be tried again."""

    code, status, title, retryable = "provider_unavailable", 503, "The provider cannot be reached", True


class ProviderBusy(ProviderProblem):
    """The provider asked us to come back later (429, full slots); the call surely did not run."""

    code, status, title, retryable = "provider_busy", 503, "The provider is at its limit", True


class ProviderMisconfigured(ProviderProblem):
    """The provider knows neither our key nor the model, or wants money first; the call surely did not run and
    waiting does not help: it may go to another deployment."""

    code, status = "provider_misconfigured", 502
    title = "The server's access to the provider is not set up right"


class ProviderRejected(ProviderProblem):
    code, status, title = "provider_rejected", 422, "The provider calls the input wrong"


class ProviderRefused(ProviderProblem):
    code, status, title = "provider_refused", 422, "The provider refused by its content policy"


class ProviderFailed(ProviderProblem):
    code, status, title = "provider_failed", 502, "The provider failed"


class ProviderTimeout(ProviderProblem):
    code, status, title = "provider_timeout", 504, "The provider made no progress for too long"


class ProviderInterrupted(ProviderProblem):
    code, status, title = "provider_interrupted", 502, "The call was stopped at the provider"


class AttemptLost(ProviderProblem):
    """The provider forgot the call (a restart, say): no result will come and none is charged."""

    code, status, title, retryable = "attempt_lost", 502, "The provider no longer knows the call", True


class OutcomeUnknown(ProviderProblem):
    code, status, title = "outcome_unknown", 502, "The call may have run; it is not repeated"
    charged = "unknown"


def from_json(body: dict[str, Any]) -> Problem:
    """The problem that `to_json` wrote, for records read back from the journal."""
    for cls in all_problems():
        if cls.code == body.get("code"):
            return cls(
                str(body.get("detail", "")),
                field=body.get("field"),
                limit=body.get("limit"),
                retry_after=body.get("retry_after"),
                errors=body.get("errors"),
            )
    return InternalError(str(body.get("detail", "")))


def all_problems() -> list[type[Problem]]:
    """Every concrete problem, in the order of the tree above."""
    found: list[type[Problem]] = []
    pending: list[type[Problem]] = [Problem]
    while pending:
        cls = pending.pop(0)
        pending.extend(cls.__subclasses__())
        if "code" in vars(cls) and cls is not Problem:
            found.append(cls)
    return found
