"""Many pictures as one archive: of a generation, of a batch (`…/download.zip`), or `/v1/assets/download`."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Send

from ferrotype.domain.problems import NothingToDownload
from ferrotype.http.checks import known
from ferrotype.http.context import Context, context_of
from ferrotype.http.disposition import content_disposition
from ferrotype.http.schemas import problems
from ferrotype.services.download_stream import Download

router = APIRouter(prefix="/v1", tags=["downloads"])

Ctx = Annotated[Context, Depends(context_of)]
ZIP: Final = "application/zip"


class Selection(BaseModel):
    """`POST /v1/assets/download`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: list[str] = Field(description="Assets, in the order of the archive; a repeated one comes once.")
    name: str | None = Field(default=None, max_length=200, description="Of the archive, for its file name.")


class Archive(StreamingResponse):
    """A download as it is made. An exception from it means that the connection has to be cut; a client that
    goes away ends the work at once."""

    def __init__(self, download: Download, *, head: bool = False) -> None:
        self._chunks = download.chunks()
        self._head = head
        headers = {
            "Content-Disposition": content_disposition("attachment", download.name),
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
            "Accept-Ranges": "none",
        }
        if download.length is not None:
            headers["Content-Length"] = str(download.length)
        super().__init__(self._chunks, headers=headers, media_type=ZIP)

    async def stream_response(self, send: Send) -> None:
        """See StreamingResponse, which leaves what it was reading open."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if not self._head:
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


ARCHIVE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/generations/{generation_id}/download.zip",
    summary="Download a generation's pictures",
    response_class=StreamingResponse,
    responses={**ARCHIVE, **problems(401, 404, 409, 422)},
)
@router.head("/generations/{generation_id}/download.zip", include_in_schema=False)
async def generation(generation_id: str, request: Request, context: Ctx) -> Archive:
    """Its pictures and a `manifest.json` as one ZIP archive, streamed."""
    download = await context.downloads.of_generation(known(generation_id, "generation"), context.account_id)
    return Archive(download, head=request.method == "HEAD")


@router.get(
    "/batches/{batch_id}/download.zip",
    summary="Download a batch's pictures",
    response_class=StreamingResponse,
    responses={**ARCHIVE, **problems(401, 404, 409, 422)},
)
@router.head("/batches/{batch_id}/download.zip", include_in_schema=False)
async def batch(batch_id: str, request: Request, context: Ctx) -> Archive:
    """The pictures that exist by now, in the order of its items, as one ZIP archive, streamed."""
    name, ids = await context.batches.picture_ids(known(batch_id, "batch"), context.account_id)
    if not ids:
        raise NothingToDownload("No picture of the batch exists yet.", retry_after=1)
    download = await context.downloads.of_assets(ids, context.account_id, name or f"batch-{batch_id[-8:]}")
    return Archive(download, head=request.method == "HEAD")


@router.post(
    "/assets/download",
    summary="Download many pictures",
    response_class=StreamingResponse,
    responses={**ARCHIVE, **problems(400, 401, 404, 409, 410, 422)},
)
async def selection(wanted: Selection, context: Ctx) -> Archive:
    """These pictures and a `manifest.json` as one ZIP archive, streamed."""
    return Archive(await context.downloads.of_assets(wanted.ids, context.account_id, wanted.name))
