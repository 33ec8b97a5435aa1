"""The reply to what was ordered, a generation or a batch."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from ferrotype.services.envelopes import Envelope


def ordered(
    envelope: Envelope, location: str, *, ended: bool, applied: str | None, replayed: bool
) -> JSONResponse:
    """201 once it has ended, 202 before. `applied` is the preference that was followed; `replayed` says that
    an earlier order with the same key made it."""
    headers = {"Location": location, "Cache-Control": "no-store"}
    if applied is not None:
        headers["Preference-Applied"] = applied
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    if not ended:
        headers["Retry-After"] = "1"
    return JSONResponse(envelope, 201 if ended else 202, headers)
