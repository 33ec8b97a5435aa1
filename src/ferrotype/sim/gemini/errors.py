"""Errors in Google's form (google.rpc.Status in JSON)."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

TYPE: Final = "type.googleapis.com/google.rpc."
STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class ApiError(Exception):
    """What the service refuses; `status` is the name of a google.rpc.Code."""

    def __init__(self, status: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details or []

    def to_json(self) -> dict[str, Any]:
        """The body, or the data of an event."""
        error: dict[str, Any] = {
            "code": STATUSES[self.status],
            "message": self.message,
            "status": self.status,
        }
        return {"error": error | ({"details": self.details} if self.details else {})}

    def response(self, *, listed: bool = False) -> web.Response:
        """The answer; a stream that is no event stream has it in a list."""
        body = self.to_json()
        return web.json_response([body] if listed else body, status=STATUSES[self.status])


def wrong(message: str) -> ApiError:
    """A 400."""
    return ApiError("INVALID_ARGUMENT", message)


def wrong_key() -> ApiError:
    """A key that nobody has; the real service tells of it like this, with a 400."""
    message = "API key not valid. Please pass a valid API key."
    return ApiError(
        "INVALID_ARGUMENT",
        message,
        [
            {
                "@type": f"{TYPE}ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            },
            {"@type": f"{TYPE}LocalizedMessage", "locale": "en-US", "message": message},
        ],
    )


def no_key() -> ApiError:
    """No key at all."""
    return ApiError(
        "PERMISSION_DENIED",
        "Method doesn't allow unregistered callers (callers without established identity). Please use API"
        " Key or other form of API consumer identity to call this API.",
    )


def exhausted(model: str, retry: float) -> ApiError:
    """A quota that is used up for `retry` seconds."""
    return ApiError(
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details. For more information"
        " on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\nPlease retry in"
        f" {retry}s.",
        [
            {
                "@type": f"{TYPE}QuotaFailure",
                "violations": [
                    {
                        "quotaMetric": "generativelanguage.googleapis.com/generate_requests_per_model",
                        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
                        "quotaDimensions": {"location": "global", "model": model},
                    }
                ],
            },
            {"@type": f"{TYPE}RetryInfo", "retryDelay": f"{retry:g}s"},
        ],
    )
