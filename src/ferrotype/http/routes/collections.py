"""`/v1/collections`: named sets of pictures."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ferrotype.http.checks import Cursor, known
from ferrotype.http.context import Context, context_of
from ferrotype.http.gallery_query import read_id
from ferrotype.http.many import Chosen, OutcomeBody, outcome
from ferrotype.http.schemas import AssetBody, Label, problems

router = APIRouter(prefix="/v1/collections", tags=["gallery"])

Ctx = Annotated[Context, Depends(context_of)]
NO_STORE: Final = {"Cache-Control": "no-store"}


class NewCollection(BaseModel):
    """What it is called."""

    model_config = ConfigDict(extra="forbid")

    name: Label = Field(description="The account's only one of that spelling.")


class CollectionBody(BaseModel):
    """A collection."""

    id: str
    object: Literal["collection"]
    name: str
    count: int = Field(description="Pictures in it; deleted ones do not count.")
    cover: AssetBody | None = Field(description="The newest of them that is there.")
    created_at: str


class CollectionPage(BaseModel):
    """Newest first."""

    object: Literal["list"]
    data: list[CollectionBody]
    next_cursor: str | None


@router.post(
    "",
    summary="Make a collection",
    status_code=201,
    responses={201: {"model": CollectionBody}, **problems(400, 401, 409, 422)},
)
async def create(wanted: NewCollection, request: Request, context: Ctx) -> JSONResponse:
    """An empty one. Its pictures are `GET /v1/gallery?collection=<id>`."""
    made = await context.collections.create(context.account_id, wanted.name, context.base_url(request))
    return JSONResponse(made, 201, NO_STORE | {"Location": f"/v1/collections/{made['id']}"})


@router.get("", summary="List collections", responses={200: {"model": CollectionPage}, **problems(401, 422)})
async def page(
    request: Request,
    context: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> JSONResponse:
    """The collections, newest first."""
    data, more = await context.collections.page(
        context.account_id, limit, read_id("cursor", cursor), context.base_url(request)
    )
    return JSONResponse({"object": "list", "data": data, "next_cursor": more}, headers=NO_STORE)


@router.get(
    "/{collection_id}",
    summary="Look at a collection",
    responses={200: {"model": CollectionBody}, **problems(401, 404)},
)
async def show(collection_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One collection as it is now."""
    base_url = context.base_url(request)
    found = await context.collections.show(known(collection_id, "collection"), context.account_id, base_url)
    return JSONResponse(found, headers=NO_STORE)


@router.patch(
    "/{collection_id}",
    summary="Rename a collection",
    responses={200: {"model": CollectionBody}, **problems(400, 401, 404, 409, 422)},
)
async def rename(collection_id: str, wanted: NewCollection, request: Request, context: Ctx) -> JSONResponse:
    """Give it another name."""
    base_url = context.base_url(request)
    found = await context.collections.rename(
        known(collection_id, "collection"), context.account_id, wanted.name, base_url
    )
    return JSONResponse(found, headers=NO_STORE)


@router.delete(
    "/{collection_id}", summary="Delete a collection", status_code=204, responses=problems(401, 404)
)
async def remove(collection_id: str, context: Ctx) -> Response:
    """Forget the collection; its pictures stay."""
    await context.collections.remove(known(collection_id, "collection"), context.account_id)
    return Response(status_code=204)


@router.post(
    "/{collection_id}/assets",
    summary="Put pictures in",
    responses={200: {"model": OutcomeBody}, **problems(400, 401, 404, 422)},
)
async def put(collection_id: str, chosen: Chosen, context: Ctx) -> JSONResponse:
    """Those that are in it already stay; those that do not exist or were deleted are told in `missing`."""
    return outcome(
        *await context.collections.put(
            known(collection_id, "collection"), context.account_id, chosen.asset_ids
        )
    )


@router.post(
    "/{collection_id}/assets/remove",
    summary="Take pictures out",
    responses={200: {"model": OutcomeBody}, **problems(400, 401, 404, 422)},
)
async def take(collection_id: str, chosen: Chosen, context: Ctx) -> JSONResponse:
    """The pictures themselves stay; those that were not in it are told in `missing`."""
    return outcome(
        *await context.collections.take(
            known(collection_id, "collection"), context.account_id, chosen.asset_ids
        )
    )
