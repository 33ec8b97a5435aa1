"""`/v1/estimates`: what an order would cost, and how long it would take."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ferrotype.domain.batch_order import BatchOrder
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, MalformedRequest
from ferrotype.http.batch_body import SCHEMA, read_batch
from ferrotype.http.context import Context, context_of
from ferrotype.http.problems import from_validation
from ferrotype.http.schemas import problems

router = APIRouter(prefix="/v1/estimates", tags=["generations"])

Ctx = Annotated[Context, Depends(context_of)]
JSON: Final = "application/json"
#: Fields that only a batch has.
OF_BATCHES: Final = frozenset(BatchOrder.model_fields) - frozenset(Order.model_fields)
_CONTENT: Final[dict[str, Any]] = SCHEMA["requestBody"]["content"]
EITHER: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": _CONTENT
        | {JSON: {"schema": {"oneOf": [Order.model_json_schema(), _CONTENT[JSON]["schema"]]}}},
    }
}


class SecondsBody(BaseModel):
    """Until pictures exist."""

    first: float = Field(description="Until the first generation has ended.")
    all: float = Field(description="Until the last has.")


class QueueBody(BaseModel):
    """What is before it."""

    ahead: int = Field(description="Calls to providers that run, or would start before it.")
    seats: int = Field(description="Calls that run at once, of all classes that it needs.")


class EstimateBody(BaseModel):
    """An estimate; nothing was ordered."""

    model_config = ConfigDict(populate_by_name=True)

    object: Literal["estimate"]
    num_items: int
    num_images: int
    num_reused: int = Field(description="Items that pictures which exist already would answer.")
    credits: int = Field(description="That would be held.")
    usd: float
    available_credits: int
    sufficient: bool
    seconds: SecondsBody | None = Field(description="By measured durations; null until there are any.")
    samples: int = Field(description="Calls that were measured, of the model with the fewest.")
    model: str | None = Field(description="Null where items have different ones.")
    class_: str | None = Field(alias="class", description="Null where items have different ones.")
    queue: QueueBody


@router.post(
    "",
    summary="Estimate an order or a batch",
    openapi_extra=EITHER,
    responses={200: {"model": EstimateBody}, **problems(400, 401, 413, 415, 422, 501, 503)},
)
async def estimate(request: Request, context: Ctx) -> JSONResponse:
    """Credits, dollars and seconds of an order, or of a batch (a body with `items`), as if it were given now.
    It is checked like the order itself, and raises the same problems; pictures behind URLs are not fetched.
    Nothing is written or held."""
    order = await _read(request)
    if isinstance(order, Order):
        told = await context.estimates.order(order, context.account_id)
    else:
        settings = context.admit.settings
        limit = max(settings.max_batch_items, settings.max_async_items)
        told = await context.estimates.batch(order, context.account_id, limit)
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


async def _read(request: Request) -> Order | BatchOrder:
    """Raises InvalidField or MalformedRequest."""
    if request.headers.get("content-type", JSON).split(";")[0].strip().lower() != JSON:
        order, _ = await read_batch(request)
        return order
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.", field="body") from None
    if not isinstance(body, dict):
        raise InvalidField("The body is an order or a batch, as an object.", field="body")
    try:
        return (BatchOrder if OF_BATCHES & body.keys() else Order).model_validate(body)
    except ValidationError as error:
        raise from_validation(list(error.errors(include_url=False))) from None  # type: ignore[arg-type]
