"""`/v1/assets`: upload a picture, look at one, say who may load it, favour it, delete it; or many at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from ferrotype.domain.asset import Visibility
from ferrotype.domain.clock import rfc3339
from ferrotype.domain.problems import Gone, InvalidField, MalformedRequest, TooLarge
from ferrotype.domain.transform_query import parse
from ferrotype.http.checks import known
from ferrotype.http.context import Context, context_of
from ferrotype.http.many import Chosen, OutcomeBody, outcome
from ferrotype.http.picture_query import DOWNLOAD
from ferrotype.http.schemas import AssetBody, problems
from ferrotype.net.signing import MAX_SECONDS

router = APIRouter(prefix="/v1/assets", tags=["assets"])

Ctx = Annotated[Context, Depends(context_of)]

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "visibility": {"enum": [each.value for each in Visibility]},
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "",
    summary="Upload a picture",
    status_code=201,
    openapi_extra=BODY,
    responses={201: {"model": AssetBody}, **problems(400, 401, 413, 415, 422, 503)},
)
async def create(
    request: Request,
    context: Ctx,
    visibility: Annotated[
        Visibility | None, Query(description="Who may load it; the server's default when omitted.")
    ] = None,
) -> JSONResponse:
    """Upload a picture: a multipart form with one `file`, or the bare bytes. Its type is read from the bytes;
    what the client declares is not believed."""
    data, named = await _read(request, context.max_upload_bytes)
    if named is not None:
        visibility = _visibility(named)
    asset = await context.uploads(data, context.account_id, field="file", visibility=visibility)
    envelope = await context.envelopes.asset(asset.id, context.account_id, context.base_url(request))
    return JSONResponse(envelope, 201, {"Location": f"/v1/assets/{asset.id}"})


@router.get(
    "/{asset_id}", summary="Look at an asset", responses={200: {"model": AssetBody}, **problems(401, 404)}
)
async def show(asset_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One asset as it is now."""
    return JSONResponse(
        await context.envelopes.asset(
            known(asset_id, "asset"), context.account_id, context.base_url(request)
        ),
        headers={"Cache-Control": "no-store"},
    )


class Change(BaseModel):
    """What can be changed of an asset."""

    model_config = ConfigDict(extra="forbid")

    visibility: Visibility | None = Field(default=None, description="Who may load it from here on.")
    favourite: bool | None = Field(default=None, description="Whether it is one.")


@router.patch(
    "/{asset_id}",
    summary="Say who may load it, or make it a favourite",
    responses={200: {"model": AssetBody}, **problems(401, 404, 410, 422)},
)
async def change(asset_id: str, change: Change, request: Request, context: Ctx) -> JSONResponse:
    """What is left out stays. Copies that browsers and CDNs keep of it already, they keep."""
    if change.visibility is None and change.favourite is None:
        raise InvalidField("Give visibility or favourite.", field="visibility")
    if change.visibility is not None:
        await context.lifecycle.show_to(known(asset_id, "asset"), context.account_id, change.visibility)
    if change.favourite is not None:
        await context.lifecycle.favour(known(asset_id, "asset"), context.account_id, change.favourite)
    return await show(asset_id, request, context)


@router.post(
    "/delete",
    summary="Delete many assets",
    responses={200: {"model": OutcomeBody}, **problems(400, 401, 422)},
)
async def delete_many(chosen: Chosen, context: Ctx) -> JSONResponse:
    """Each as by `DELETE`. Those that do not exist are told in `missing`, and the others are deleted."""
    return outcome(*await context.lifecycle.delete_many(chosen.asset_ids, context.account_id))


@router.post(
    "/restore",
    summary="Restore many deleted assets",
    responses={200: {"model": OutcomeBody}, **problems(400, 401, 422)},
)
async def restore_many(chosen: Chosen, context: Ctx) -> JSONResponse:
    """Each as by its own route. Those that do not exist or whose bytes are gone are told in `missing`."""
    return outcome(*await context.lifecycle.restore_many(chosen.asset_ids, context.account_id))


class Favoured(Chosen):
    """What they are to be."""

    favourite: bool


@router.post(
    "/favourite",
    summary="Make many assets favourites",
    responses={200: {"model": OutcomeBody}, **problems(400, 401, 422)},
)
async def favour_many(chosen: Favoured, context: Ctx) -> JSONResponse:
    """Or favourites no more. Those that do not exist or were deleted are told in `missing`."""
    changed = await context.lifecycle.favour_many(chosen.asset_ids, context.account_id, chosen.favourite)
    return outcome(*changed)


@router.delete("/{asset_id}", summary="Delete an asset", status_code=204, responses=problems(401, 404))
async def delete(
    asset_id: str,
    context: Ctx,
    purge: Annotated[
        bool, Query(description="Remove its bytes as soon as possible; it cannot be restored.")
    ] = False,
) -> Response:
    """From here on its URL answers 410, in every size, and no order can use it. Again is no error."""
    await context.lifecycle.delete(known(asset_id, "asset"), context.account_id, purge=purge)
    return Response(status_code=204)


@router.post(
    "/{asset_id}/restore",
    summary="Restore a deleted asset",
    responses={200: {"model": AssetBody}, **problems(401, 404, 410)},
)
async def restore(asset_id: str, request: Request, context: Ctx) -> JSONResponse:
    """Serve it again, at its old URL, as long as its bytes are there (`FERROTYPE_RESTORE_DAYS`)."""
    await context.lifecycle.restore(known(asset_id, "asset"), context.account_id)
    return await show(asset_id, request, context)


class SignOrder(BaseModel):
    """What is to be opened, and for how long."""

    model_config = ConfigDict(extra="forbid")

    expires_in: int = Field(default=3600, ge=1, le=MAX_SECONDS, description="Seconds from now.")
    transform: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description='As in the query of a picture: `{"w": 512, "format": "auto"}`.'
    )
    download: str | None = Field(
        default=None, max_length=120, description="Name of the file, where the picture is to be saved."
    )


class SignedBody(BaseModel):
    """A URL that opens one picture in one form."""

    url: str
    expires_at: str


@router.post(
    "/{asset_id}/sign",
    summary="Make a signed URL",
    responses={200: {"model": SignedBody}, **problems(401, 404, 410, 422)},
)
async def sign(
    asset_id: str,
    request: Request,
    context: Ctx,
    order: Annotated[SignOrder, Body()] = SignOrder(),  # noqa: B008
) -> JSONResponse:
    """Whoever holds the URL may load exactly that picture in exactly that form until it expires, also a
    private one. How to sign without asking is in docs/DELIVERY.md."""
    base_url = context.base_url(request)
    asset = await context.envelopes.asset(known(asset_id, "asset"), context.account_id, base_url)
    if asset["deleted_at"] is not None:
        raise Gone(f"Asset {asset_id} was deleted.")
    pairs = [(name, _text(value)) for name, value in order.transform.items()]
    parse(pairs, context.vocabulary)
    if order.download is not None:
        pairs.append((DOWNLOAD, order.download))
    url, expires = context.signer.signed(f"/images/{asset_id}", pairs, order.expires_in)
    return JSONResponse(
        {"url": base_url + url, "expires_at": rfc3339(expires)}, headers={"Cache-Control": "no-store"}
    )


def _text(value: str | float | bool) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case float():
            return f"{value:g}"
    return str(value)


def _visibility(text: str) -> Visibility:
    choices = [each.value for each in Visibility]
    if text not in choices:
        raise InvalidField(f"visibility is one of {', '.join(choices)}.", field="visibility", limit=choices)
    return Visibility(text)


async def _read(request: Request, limit: int) -> tuple[bytes, str | None]:
    """The picture's bytes, and the form's `visibility`. Raises InvalidField, MalformedRequest or TooLarge."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _bounded(await request.body(), limit), None
    try:
        async with request.form(max_files=1, max_fields=8) as form:
            files = [part for part in form.values() if isinstance(part, UploadFile)]
            if len(files) != 1 or "file" not in form:
                raise InvalidField("The form needs exactly one file, named `file`.", field="file", limit=1)
            named = form.get("visibility")
            return _bounded(await files[0].read(limit + 1), limit), None if named is None else str(named)
    except MultiPartException as error:
        raise MalformedRequest(f"The multipart body cannot be read: {error.message}", field="body") from None


def _bounded(data: bytes, limit: int) -> bytes:
    if not data:
        raise InvalidField("The upload is empty.", field="file", limit="at least 1 byte")
    if len(data) > limit:
        raise TooLarge(f"An upload has at most {limit} bytes.", field="file", limit=limit)
    return data
