"""`/v1/generations`: order, look, cancel."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from ferrotype.domain.ids import new_id
from ferrotype.domain.order import Order
from ferrotype.domain.states import GenerationState
from ferrotype.http import answers
from ferrotype.http.checks import Cursor, check_cursor, check_key, check_limit, known
from ferrotype.http.context import Context, context_of
from ferrotype.http.prefer import wait_seconds
from ferrotype.http.schemas import GenerationBody, GenerationPage, problems

router = APIRouter(prefix="/v1/generations", tags=["generations"])

ORDERED: Final[dict[int | str, dict[str, Any]]] = {
    201: {"model": GenerationBody, "description": "It ended within the wait, well or badly"},
    202: {"model": GenerationBody, "description": "The wait ended first; follow it by its URLs"},
}
Ctx = Annotated[Context, Depends(context_of)]
Prefer = Annotated[list[str] | None, Header(description="`wait=N` seconds, or `respond-async`.")]
Key = Annotated[str | None, Header(description="Same key and body: the same generation, for 24 hours.")]


@router.post(
    "",
    summary="Order pictures",
    status_code=201,
    responses=ORDERED | problems(400, 401, 402, 403, 409, 413, 415, 422, 503),
)
async def create(
    order: Order, request: Request, context: Ctx, prefer: Prefer = None, idempotency_key: Key = None
) -> JSONResponse:
    """Order pictures. The answer comes when they exist (`immediate`) or are stored (`durable`)."""
    return await ordered(order, request, context, prefer, idempotency_key)


@router.post(
    "/{generation_id}/fresh",
    summary="Order a generation's pictures anew",
    status_code=201,
    responses=ORDERED | problems(400, 401, 402, 403, 404, 409, 422, 503),
)
async def fresh(
    generation_id: str, request: Request, context: Ctx, prefer: Prefer = None, idempotency_key: Key = None
) -> JSONResponse:
    """The same order again with `"reuse": "never"` and another seed: for a generation whose pictures are
    another one's, and any other."""
    order = await context.envelopes.fresh_order(known(generation_id, "generation"), context.account_id)
    return await ordered(order, request, context, prefer, idempotency_key)


async def ordered(
    order: Order, request: Request, context: Context, prefer: list[str] | None, idempotency_key: str | None
) -> JSONResponse:
    """Admit an order, wait as long as its caller wants, and answer."""
    check_key(idempotency_key)
    seconds, applied = wait_seconds(prefer or (), context.settings)
    started = time.perf_counter()
    generation_id, base_url = new_id(), context.base_url(request)
    with context.bus.subscribe(generation_id) as own:
        admitted = await context.admit(
            order, account_id=context.account_id, generation_id=generation_id, idempotency_key=idempotency_key
        )
        if seconds == 0 and admitted.fresh is not None:
            envelope, ended = context.envelopes.fresh(*admitted.fresh, base_url), False
        else:
            with context.bus.subscribe(admitted.generation_id) as other:
                envelope, ended = await context.waiting(
                    other if admitted.generation_id != generation_id else own,
                    admitted.generation_id,
                    context.account_id,
                    base_url,
                    mode=order.mode,
                    seconds=seconds,
                    fresh=admitted.fresh is not None,
                )
    context.telemetry.observe(
        order.operation,
        time.perf_counter() - started,
        ok=envelope["status"] != GenerationState.FAILED,
        request=False,
    )
    return answers.ordered(
        envelope,
        f"/v1/generations/{admitted.generation_id}",
        ended=ended,
        applied=applied,
        replayed=admitted.replayed,
    )


@router.get("", summary="List generations", responses={200: {"model": GenerationPage}, **problems(401, 422)})
async def index(
    request: Request,
    context: Ctx,
    limit: Annotated[int, Query(ge=1, description="Entries of the page.")] = 20,
    cursor: Cursor = None,
    status: Annotated[GenerationState | None, Query(description="Only these.")] = None,
) -> JSONResponse:
    """The generations, newest first."""
    check_limit(limit, context.settings.max_page)
    check_cursor(cursor)
    data, following = await context.envelopes.page(
        context.account_id, context.base_url(request), limit=limit, cursor=cursor, status=status
    )
    return JSONResponse({"object": "list", "data": data, "next_cursor": following})


@router.get(
    "/{generation_id}",
    summary="Look at a generation",
    responses={200: {"model": GenerationBody}, **problems(401, 404)},
)
async def show(generation_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One generation as it is now."""
    envelope = await context.envelopes.generation(
        known(generation_id, "generation"), context.account_id, context.base_url(request)
    )
    return JSONResponse(envelope, headers={"Cache-Control": "no-store"})


@router.post(
    "/{generation_id}/cancel",
    summary="Cancel a generation",
    responses={200: {"model": GenerationBody}, **problems(401, 404)},
)
async def cancel(generation_id: str, request: Request, context: Ctx) -> JSONResponse:
    """Ask for its end. What exists already stays and is charged; the rest is released. A generation that
    has ended stays as it is."""
    await context.cancel(known(generation_id, "generation"), context.account_id)
    return await show(generation_id, request, context)


@router.get(
    "/{generation_id}/attempts",
    summary="List a generation's attempts",
    responses=problems(401, 404),
)
async def attempts(generation_id: str, context: Ctx) -> JSONResponse:
    """Every call to a provider that it led to, oldest first: where, when, how it ended, what it cost."""
    data = await context.envelopes.attempts(known(generation_id, "generation"), context.account_id)
    return JSONResponse({"object": "list", "data": data}, headers={"Cache-Control": "no-store"})
