"""Events as they happen: of one generation, of one batch, of the account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request

from ferrotype.domain.problems import UpgradeRequired
from ferrotype.http.checks import known
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import problems
from ferrotype.http.streams.schemas import EVENTS
from ferrotype.http.streams.scopes import Options, Scope, read_inline, read_number, read_previews, read_types
from ferrotype.http.streams.sse import EventStream
from ferrotype.http.streams.streams import PATH

router = APIRouter(tags=["events"])

Ctx = Annotated[Context, Depends(context_of)]


class Asked:
    """What every stream can be asked for."""

    def __init__(
        self,
        types: Annotated[str | None, Query(description="Only these, with commas between them.")] = None,
        inline: Annotated[
            str | None, Query(description="`placeholder`, `preview` or `output`: pictures in the events.")
        ] = None,
        previews: Annotated[str | None, Query(description="`false` leaves previews out.")] = None,
        after: Annotated[
            str | None, Query(alias="last_event_id", description="As the header, which wins.")
        ] = None,
        last_event_id: Annotated[str | None, Header(description="Resume after this number.")] = None,
    ) -> None:
        self.options = Options(read_types(types), read_inline(inline), read_previews(previews))
        self.after = read_number(last_event_id, "Last-Event-ID")
        if self.after is None:
            self.after = read_number(after)


Wish = Annotated[Asked, Depends()]


@router.get(
    "/v1/events",
    summary="Follow the account live",
    status_code=200,
    response_class=EventStream,
    responses=EVENTS | problems(401, 422),
)
async def of_account(request: Request, context: Ctx, asked: Wish) -> EventStream:
    """Every event of every generation and batch: first a `snapshot` of those that have not ended. Such a
    stream ends only when the server stops."""
    scope = Scope("account", context.account_id)
    return await context.streams.sse(scope, asked.options, context.base_url(request), asked.after)


@router.get(
    "/v1/batches/{batch_id}/events",
    summary="Follow a batch live",
    status_code=200,
    tags=["batches"],
    response_class=EventStream,
    responses=EVENTS | problems(401, 404, 422),
)
async def of_batch(batch_id: str, request: Request, context: Ctx, asked: Wish) -> EventStream:
    """The events of a batch and of all its generations: first a `snapshot`; the batch's terminal event closes
    the stream."""
    scope = Scope("batch", known(batch_id, "batch"))
    return await context.streams.sse(scope, asked.options, context.base_url(request), asked.after)


@router.get(
    "/v1/generations/{generation_id}/events",
    summary="Follow a generation live",
    status_code=200,
    tags=["generations"],
    response_class=EventStream,
    responses=EVENTS | problems(401, 404, 422),
)
async def of_generation(generation_id: str, request: Request, context: Ctx, asked: Wish) -> EventStream:
    """Follow it live: first a `snapshot`, then every event; the terminal one closes the stream."""
    scope = Scope("generation", known(generation_id, "generation"))
    return await context.streams.sse(scope, asked.options, context.base_url(request), asked.after)


@router.get(
    PATH,
    summary="Follow many things on one WebSocket",
    status_code=101,
    response_class=EventStream,
    responses={101: {"description": "The protocol is in docs/EVENTS.md"}, **problems(401, 403, 426, 503)},
)
async def socket() -> None:
    """A WebSocket: subscribe to generations, batches and the account by messages. Asked for by plain HTTP it
    cannot be had."""
    raise UpgradeRequired("Ask for a WebSocket here: `Connection: Upgrade` and `Upgrade: websocket`.")
