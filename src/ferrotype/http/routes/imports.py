"""`/v1/imports`: where a picture is now that an app had elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ferrotype.db import imports
from ferrotype.db.database import Transaction
from ferrotype.db.imports import Imported
from ferrotype.domain.clock import rfc3339
from ferrotype.domain.problems import InvalidField
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import problems

router = APIRouter(prefix="/v1/imports", tags=["assets"])

Ctx = Annotated[Context, Depends(context_of)]


class ImportBody(BaseModel):
    """An imported picture."""

    object: Literal["import"]
    asset_id: str
    url: str
    source: str = Field(description="Where it was, without any secret.")
    former_id: str | None = Field(description="What the app called it.")
    tags: list[str]
    metadata: dict[str, Any] = Field(description="What stood beside it.")
    imported_at: str


class ImportPage(BaseModel):
    """The latest first."""

    object: Literal["list"]
    data: list[ImportBody]


@router.get(
    "",
    summary="Find an imported picture by its former id or place",
    responses={200: {"model": ImportPage}, **problems(401, 422)},
)
async def find(
    request: Request,
    context: Ctx,
    former_id: Annotated[str | None, Query(max_length=4096, description="What the app called it.")] = None,
    source: Annotated[str | None, Query(max_length=8192, description="Where it was.")] = None,
    asset_id: Annotated[str | None, Query(max_length=64, description="What it is now.")] = None,
) -> JSONResponse:
    """Exactly one of the three says which. A former id may have come from several places: at most 100 are
    told."""
    given = [each for each in (former_id, source, asset_id) if each is not None]
    if len(given) != 1:
        raise InvalidField("Give one of former_id, source and asset_id.", field="former_id")

    def story(tx: Transaction) -> list[Imported]:
        if former_id is not None:
            return imports.of_former(tx, context.account_id, former_id)
        if source is not None:
            found = imports.find(tx, context.account_id, source)
        else:
            found = imports.of_asset(tx, context.account_id, str(asset_id))
        return [] if found is None else [found]

    base_url = context.base_url(request)
    data = [
        {
            "object": "import",
            "asset_id": each.asset_id,
            "url": f"{base_url}/images/{each.asset_id}",
            "source": each.source,
            "former_id": each.former_id,
            "tags": each.tags,
            "metadata": each.metadata,
            "imported_at": rfc3339(each.imported_at),
        }
        for each in await context.database.read(story)
        if each.imported_at is not None
    ]
    return JSONResponse({"object": "list", "data": data}, headers={"Cache-Control": "no-store"})
