"""`/v1/batches`: many orders at once."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from ferrotype.domain.batch_order import BatchOrder, merge
from ferrotype.domain.ids import new_id
from ferrotype.domain.matrix import first_items
from ferrotype.domain.problems import InvalidField
from ferrotype.domain.states import BatchState
from ferrotype.http import answers
from ferrotype.http.batch_body import SCHEMA, read_batch
from ferrotype.http.batch_schemas import BatchBody, BatchPage, ExpansionBody, ItemPage
from ferrotype.http.checks import Cursor, check_cursor, check_key, check_limit, known
from ferrotype.http.context import Context, context_of
from ferrotype.http.prefer import wait_seconds
from ferrotype.http.routes.generations import Key, Prefer
from ferrotype.http.schemas import problems
from ferrotype.services.admit_batch import Origin

router = APIRouter(prefix="/v1/batches", tags=["batches"])

Ctx = Annotated[Context, Depends(context_of)]
#: Items that an expansion shows.
SHOWN: Final = 100
NEW: Final = Origin()
ORDERED: Final[dict[int | str, dict[str, Any]]] = {
    201: {"model": BatchBody, "description": "All of it ended within the wait, well or badly"},
    202: {"model": BatchBody, "description": "The wait ended first; follow it by its URLs"},
}


@router.post(
    "",
    summary="Order a batch",
    status_code=201,
    openapi_extra=SCHEMA,
    responses=ORDERED | problems(400, 401, 402, 403, 409, 413, 415, 422, 503),
)
async def create(
    request: Request, context: Ctx, prefer: Prefer = None, idempotency_key: Key = None
) -> JSONResponse:
    """Order many generations at once; they run side by side. As JSON the answer comes when all have ended,
    within the wait; with `Prefer: respond-async`, or as JSON lines, at once. One item that cannot be ordered
    refuses the batch, unless it is `partial`."""
    order, lines = await read_batch(request)
    return await ordered(order, request, context, prefer, idempotency_key, many=lines)


@router.post(
    "/expand",
    summary="See what a batch would order",
    openapi_extra=SCHEMA,
    responses={200: {"model": ExpansionBody}, **problems(400, 401, 413, 422)},
)
async def expand(request: Request) -> JSONResponse:
    """The items that the same body would order, with the defaults under them, and how many they are. Nothing
    is checked beyond that, and nothing is ordered."""
    order, _ = await read_batch(request)
    merged = [merge(order.defaults, item) for item in order.items]
    count, items = first_items(merged, order.matrix, SHOWN, dynamic=order.expand)
    body = {"object": "expansion", "count": count, "items": items, "truncated": count > len(items)}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def ordered(
    order: BatchOrder,
    request: Request,
    context: Context,
    prefer: list[str] | None,
    idempotency_key: str | None,
    *,
    many: bool,
    origin: Origin = NEW,
) -> JSONResponse:
    """Admit a batch, wait as long as its caller wants, and answer."""
    check_key(idempotency_key)
    seconds, applied = wait_seconds(prefer or (), context.settings)
    if many and applied is None:
        seconds = 0.0
    few, most = context.admit.settings.max_batch_items, context.admit.settings.max_async_items
    limit = max(few, most) if many or seconds == 0 else few
    batch_id, base_url = new_id(), context.base_url(request)
    admitted = await context.admit_batch(
        order,
        account_id=context.account_id,
        batch_id=batch_id,
        limit=limit,
        idempotency_key=idempotency_key,
        origin=origin,
    )
    envelope, ended = await context.waiting_for_batch(
        admitted.batch_id, context.account_id, base_url, seconds=seconds
    )
    return answers.ordered(
        envelope,
        f"/v1/batches/{admitted.batch_id}",
        ended=ended,
        applied=applied,
        replayed=admitted.replayed,
    )


@router.get("", summary="List batches", responses={200: {"model": BatchPage}, **problems(401, 422)})
async def index(
    request: Request,
    context: Ctx,
    limit: Annotated[int, Query(ge=1, description="Entries of the page.")] = 20,
    cursor: Cursor = None,
    status: Annotated[BatchState | None, Query(description="Only these.")] = None,
) -> JSONResponse:
    """The batches without their items, newest first."""
    check_limit(limit, context.settings.max_page)
    check_cursor(cursor)
    data, following = await context.batches.page(
        context.account_id, context.base_url(request), limit=limit, cursor=cursor, status=status
    )
    return JSONResponse({"object": "list", "data": data, "next_cursor": following})


@router.get(
    "/{batch_id}", summary="Look at a batch", responses={200: {"model": BatchBody}, **problems(401, 404)}
)
async def show(batch_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One batch as it is now, with its first items."""
    envelope = await context.batches.envelope(
        known(batch_id, "batch"), context.account_id, context.base_url(request)
    )
    return JSONResponse(envelope, headers={"Cache-Control": "no-store"})


@router.get(
    "/{batch_id}/items",
    summary="List a batch's items",
    responses={200: {"model": ItemPage}, **problems(401, 404, 422)},
)
async def items(
    batch_id: str,
    request: Request,
    context: Ctx,
    limit: Annotated[int, Query(ge=1, description="Entries of the page.")] = 100,
    cursor: Cursor = None,
) -> JSONResponse:
    """Every item with its generation, in the order of the batch."""
    check_limit(limit, context.settings.max_page)
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise InvalidField("That is no cursor of ours.", field="cursor")
    data, following = await context.batches.items(
        known(batch_id, "batch"),
        context.account_id,
        context.base_url(request),
        limit=limit,
        first=int(cursor or 0),
    )
    return JSONResponse(
        {"object": "list", "data": data, "next_cursor": following}, headers={"Cache-Control": "no-store"}
    )


@router.post(
    "/{batch_id}/cancel",
    summary="Cancel a batch",
    responses={200: {"model": BatchBody}, **problems(401, 404)},
)
async def cancel(batch_id: str, request: Request, context: Ctx) -> JSONResponse:
    """Ask for its end. Pictures that exist already stay and are charged; the rest is released."""
    await context.cancel_batch(known(batch_id, "batch"), context.account_id)
    return await show(batch_id, request, context)


@router.post(
    "/{batch_id}/retry",
    summary="Order a batch's failed items once more",
    status_code=201,
    responses=ORDERED | problems(401, 402, 404, 409, 422, 503),
)
async def retry(
    batch_id: str, request: Request, context: Ctx, prefer: Prefer = None, idempotency_key: Key = None
) -> JSONResponse:
    """A new batch, `retry_of` this one, of the items that were refused or have no picture."""
    order, origin = await context.batch_again.failed(known(batch_id, "batch"), context.account_id)
    many = len(order.items) > context.admit.settings.max_batch_items
    return await ordered(order, request, context, prefer, idempotency_key, many=many, origin=origin)


@router.post(
    "/{batch_id}/clone",
    summary="Order a batch once more",
    status_code=201,
    responses=ORDERED | problems(401, 402, 404, 409, 422, 503),
)
async def clone(
    batch_id: str, request: Request, context: Ctx, prefer: Prefer = None, idempotency_key: Key = None
) -> JSONResponse:
    """A new batch, `cloned_from` this one, of all its items. Those with a seed are the same orders as before,
    so that pictures of before may answer them."""
    order, origin = await context.batch_again.whole(known(batch_id, "batch"), context.account_id)
    many = len(order.items) > context.admit.settings.max_batch_items
    return await ordered(order, request, context, prefer, idempotency_key, many=many, origin=origin)
