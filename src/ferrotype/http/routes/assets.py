"""`/v1/assets`: upload a picture, look at one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import InvalidField, MalformedRequest, NotFound, TooLarge
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import AssetBody, problems

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
                    "properties": {"file": {"type": "string", "format": "binary"}},
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
async def create(request: Request, context: Ctx) -> JSONResponse:
    """Upload a picture: a multipart form with one `file`, or the bare bytes. Its type is read from the bytes;
    what the client declares is not believed."""
    data = await _bytes(request, context.max_upload_bytes)
    asset = await context.uploads(data, context.account_id, field="file")
    envelope = await context.envelopes.asset(asset.id, context.account_id, context.base_url(request))
    return JSONResponse(envelope, 201, {"Location": f"/v1/assets/{asset.id}"})


@router.get(
    "/{asset_id}", summary="Look at an asset", responses={200: {"model": AssetBody}, **problems(401, 404)}
)
async def show(asset_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One asset as it is now."""
    if not is_id(asset_id):
        raise NotFound(f"There is no asset {asset_id[:64]!r}.")
    return JSONResponse(
        await context.envelopes.asset(asset_id, context.account_id, context.base_url(request)),
        headers={"Cache-Control": "no-store"},
    )


async def _bytes(request: Request, limit: int) -> bytes:
    """The picture's bytes. Raises InvalidField, MalformedRequest or TooLarge."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _bounded(await request.body(), limit)
    try:
        async with request.form(max_files=1, max_fields=8) as form:
            files = [part for part in form.values() if isinstance(part, UploadFile)]
            if len(files) != 1 or "file" not in form:
                raise InvalidField("The form needs exactly one file, named `file`.", field="file", limit=1)
            return _bounded(await files[0].read(limit + 1), limit)
    except MultiPartException as error:
        raise MalformedRequest(f"The multipart body cannot be read: {error.message}", field="body") from None


def _bounded(data: bytes, limit: int) -> bytes:
    if not data:
        raise InvalidField("The upload is empty.", field="file", limit="at least 1 byte")
    if len(data) > limit:
        raise TooLarge(f"An upload has at most {limit} bytes.", field="file", limit=limit)
    return data
