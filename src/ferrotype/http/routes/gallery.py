"""`/v1/gallery`: the pictures of an account, to look through, to search and to filter."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ferrotype.http.context import Context, context_of
from ferrotype.http.gallery_query import GalleryQuery, PageQuery
from ferrotype.http.schemas import AssetBody, problems

router = APIRouter(prefix="/v1/gallery", tags=["gallery"])

Ctx = Annotated[Context, Depends(context_of)]
NO_STORE: Final = {"Cache-Control": "no-store"}


class MadeByBody(BaseModel):
    """The generation that a picture belongs to."""

    id: str
    prompt: str
    negative_prompt: str | None
    model: str
    style: str | None
    aspect_ratio: str | None
    operation: str
    seed: int | None = Field(description="Of the first picture.")
    params: dict[str, Any]
    batch_id: str | None
    num_images: int
    created_at: str


class PictureBody(AssetBody):
    """An asset with what made it; null for an upload."""

    generation: MadeByBody | None


class PicturePage(BaseModel):
    """Newest first."""

    object: Literal["list"]
    data: list[PictureBody]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; null on the last, and where a date was given."
    )


class SectionBody(BaseModel):
    """A day that has pictures."""

    date: str = Field(description="`YYYY-MM-DD`, in the `tz` of the request.")
    count: int
    ratios: list[float] = Field(
        description="Width / height of each, newest first, with two decimals; 1 where they are not known."
    )


class TimelineBody(BaseModel):
    """What a gallery needs to lay out every picture before it has asked for one."""

    object: Literal["timeline"]
    total: int
    newest: str | None = Field(description="Id of the newest picture: `until` of the pages.")
    sections: list[SectionBody] = Field(description="The latest day first.")


class ChoiceBody(BaseModel):
    """A value to filter by, and how many pictures have it."""

    name: str
    count: int


class FacetsBody(BaseModel):
    """The most frequent first. Each is counted with every filter but its own."""

    object: Literal["facets"]
    models: list[ChoiceBody]
    styles: list[ChoiceBody]
    aspect_ratios: list[ChoiceBody]
    operations: list[ChoiceBody]


@router.get(
    "", summary="Look through the gallery", responses={200: {"model": PicturePage}, **problems(401, 404, 422)}
)
async def page(request: Request, context: Ctx, wanted: Annotated[PageQuery, Query()]) -> JSONResponse:
    """Pictures that fit all filters, newest first: from a cursor on, or from a place in a day on."""
    data, more = await context.gallery.page(
        context.account_id, wanted.filters(), wanted.place(), wanted.limit, context.base_url(request)
    )
    cursor = None if wanted.date is not None else more
    return JSONResponse({"object": "list", "data": data, "next_cursor": cursor}, headers=NO_STORE)


@router.get(
    "/timeline",
    summary="Days that have pictures",
    responses={200: {"model": TimelineBody}, **problems(401, 404, 422)},
)
async def timeline(context: Ctx, wanted: Annotated[GalleryQuery, Query()]) -> JSONResponse:
    """How many pictures each day has and of which proportions, of those that fit all filters."""
    told = await context.gallery.timeline(context.account_id, wanted.filters(), wanted.tz)
    return JSONResponse(told, headers=NO_STORE)


@router.get(
    "/facets",
    summary="Values to filter by",
    responses={200: {"model": FacetsBody}, **problems(401, 404, 422)},
)
async def facets(context: Ctx, wanted: Annotated[GalleryQuery, Query()]) -> JSONResponse:
    """Models, styles, aspect ratios and operations of the generated pictures, with their counts."""
    told = await context.gallery.facets(context.account_id, wanted.filters())
    return JSONResponse(told, headers=NO_STORE)
