"""`/v1/shares`: pages of pictures for others; `/s/{share_id}`: such a page."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ferrotype.domain.problems import Gone, NotFound
from ferrotype.http.checks import Cursor, known
from ferrotype.http.context import Context, context_of
from ferrotype.http.gallery_query import read_id
from ferrotype.http.many import AssetId
from ferrotype.http.schemas import Label, problems
from ferrotype.http.share_page import problem_page
from ferrotype.services.shares import LONGEST, SHORTEST

router = APIRouter(tags=["gallery"])

Ctx = Annotated[Context, Depends(context_of)]
#: Pictures of one page.
MAX_SHARED: Final = 200
NO_STORE: Final = {"Cache-Control": "no-store"}


class NewShare(BaseModel):
    """What is shown, and for how long."""

    model_config = ConfigDict(extra="forbid")

    asset_ids: list[AssetId] = Field(
        min_length=1, max_length=MAX_SHARED, description="In the order of the page."
    )
    title: Label | None = Field(default=None, description="How many pictures it has, when omitted.")
    expires_in: int | None = Field(
        default=None, ge=SHORTEST, le=LONGEST, description="Seconds from now; without an end when omitted."
    )
    show_prompt: bool = Field(default=False, description="Whether the page tells the prompts.")


class ShareBody(BaseModel):
    """A page of pictures."""

    id: str
    object: Literal["share"]
    title: str
    url: str = Field(description="Whoever has it sees the page, without a key.")
    asset_ids: list[str]
    show_prompt: bool
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class SharesPage(BaseModel):
    """Newest first."""

    object: Literal["list"]
    data: list[ShareBody]
    next_cursor: str | None


@router.post(
    "/v1/shares",
    summary="Share pictures by a page",
    status_code=201,
    responses={201: {"model": ShareBody}, **problems(400, 401, 404, 410, 422)},
)
async def create(wanted: NewShare, request: Request, context: Ctx) -> JSONResponse:
    """An unlisted page: whoever has its URL sees these pictures, private ones too, until it expires or is
    revoked."""
    made = await context.shares.create(
        context.account_id,
        wanted.asset_ids,
        context.base_url(request),
        title=wanted.title,
        expires_in=wanted.expires_in,
        show_prompt=wanted.show_prompt,
    )
    return JSONResponse(made, 201, NO_STORE | {"Location": f"/v1/shares/{made['id']}"})


@router.get("/v1/shares", summary="List shares", responses={200: {"model": SharesPage}, **problems(401, 422)})
async def page(
    request: Request,
    context: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> JSONResponse:
    """The shares, newest first, those that have ended included."""
    data, more = await context.shares.page(
        context.account_id, limit, read_id("cursor", cursor), context.base_url(request)
    )
    return JSONResponse({"object": "list", "data": data, "next_cursor": more}, headers=NO_STORE)


@router.get(
    "/v1/shares/{share_id}",
    summary="Look at a share",
    responses={200: {"model": ShareBody}, **problems(401, 404)},
)
async def show(share_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One share as it is now."""
    base_url = context.base_url(request)
    return JSONResponse(
        await context.shares.show(known(share_id, "share"), context.account_id, base_url), headers=NO_STORE
    )


@router.delete(
    "/v1/shares/{share_id}", summary="Revoke a share", status_code=204, responses=problems(401, 404)
)
async def revoke(share_id: str, context: Ctx) -> Response:
    """From here on its page answers 410. Again is no error."""
    await context.shares.revoke(known(share_id, "share"), context.account_id)
    return Response(status_code=204)


@router.get(
    "/s/{share_id}",
    summary="A shared page",
    response_class=HTMLResponse,
    responses={
        404: {"content": {"text/html": {}}, "description": "There is no such page"},
        410: {"content": {"text/html": {}}, "description": "It expired, was revoked, or has no picture left"},
    },
)
@router.head("/s/{share_id}", include_in_schema=False)
async def open_page(share_id: str, request: Request, context: Ctx) -> HTMLResponse:
    """The page itself: HTML without any script, open to whoever has its URL."""
    try:
        shown = await context.shares.open(share_id)
        text, headers = context.share_page.page(shown, context.base_url(request))
        status = 200
    except (NotFound, Gone) as problem:
        text, headers = problem_page(problem)
        status = problem.status
    data = text.encode()
    if request.method == "HEAD":
        headers["Content-Length"], data = str(len(data)), b""
    return HTMLResponse(data, status, headers)
