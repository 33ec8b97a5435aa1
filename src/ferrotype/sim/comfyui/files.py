"""/view and /upload: the routes that carry bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import mimetypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyvips
from aiohttp import web

from ferrotype.sim import pixels
from ferrotype.sim.options import take
from ferrotype.sim.pixels import Picture

from .faults import ENTRY
from .folders import Folders, inside

if TYPE_CHECKING:
    from .server import ComfySim

# Types that a browser would run are sent as a download.
_FORCED = {"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"}


class Files:
    """Handlers bound to one simulator."""

    def __init__(self, sim: ComfySim) -> None:
        self._sim = sim

    def table(self) -> list[web.RouteDef]:
        """All routes of this part, without prefix."""
        return [
            web.get("/view", self.view),
            web.post("/upload/image", self.upload_image),
            web.post("/upload/mask", self.upload_mask),
        ]

    async def view(self, request: web.Request) -> web.StreamResponse:
        found = _locate(self._sim.folders, request)
        if isinstance(found, int):
            return web.Response(status=found)
        request[ENTRY].prompt_id = self._sim.owners.get(str(found))
        query = request.rel_url.query
        headers = {"Content-Disposition": f'filename="{found.name}"'}
        if "preview" in query:
            body, kind = await asyncio.to_thread(_preview, found, query["preview"], query.get("channel", ""))
            return web.Response(body=body, content_type=kind, headers=headers)
        if query.get("channel") in ("rgb", "a"):
            body = await asyncio.to_thread(_channel, found, query["channel"])
            return web.Response(body=body, content_type="image/png", headers=headers)
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        headers["Content-Type"] = "application/octet-stream" if kind in _FORCED else kind
        script = self._sim.script
        if script.wrong_view is not None:
            return web.Response(body=script.wrong_view.encode(), headers=headers)
        cut = None
        if script.truncate_view is not None:
            fires, script.truncate_times = take(script.truncate_times)
            cut = script.truncate_view if fires else None
        if (cut is not None or script.drip_bytes) and request.method == "GET":
            return await self._slow(request, found, headers, cut)
        return web.FileResponse(found, headers=headers)

    async def _slow(
        self, request: web.Request, path: Path, headers: dict[str, str], cut: int | None
    ) -> web.StreamResponse:
        """Sends the file in drips, or only its beginning and then breaks the connection."""
        data = path.read_bytes()
        response = web.StreamResponse(headers=headers)
        response.content_length = len(data)
        await response.prepare(request)
        script = self._sim.script
        end = len(data) if cut is None else min(cut, len(data))
        size = script.drip_bytes or end or 1
        for start in range(0, end, size):
            await response.write(data[start : min(start + size, end)])
            await asyncio.sleep(script.drip_seconds)
        if end < len(data) and request.transport is not None:
            request.transport.close()  # flushes what was written, unlike abort
            return response
        await response.write_eof()
        return response

    async def upload_image(self, request: web.Request) -> web.Response:
        return await self._upload(request, mask=False)

    async def upload_mask(self, request: web.Request) -> web.Response:
        return await self._upload(request, mask=True)

    async def _upload(self, request: web.Request, *, mask: bool) -> web.Response:
        form = await request.post()
        image: Any = form.get("image")
        kind = str(form.get("type") or "input")
        # A type that does not exist falls over here (TypeError -> 500), as on the real server.
        folder = Path(os.fspath(self._sim.folders.by_type(kind)))  # type: ignore[arg-type]
        if image is None or not image.file:
            return web.Response(status=400)
        name, subfolder = image.filename, str(form.get("subfolder", ""))
        if not name:
            return web.Response(status=400)
        target = folder / os.path.normpath(subfolder)
        path = Path(os.path.abspath(target / name))
        if not inside(folder, path):
            return web.Response(status=400)
        target.mkdir(parents=True, exist_ok=True)
        data = image.file.read()
        duplicate = False
        if form.get("overwrite") not in ("true", "1"):
            stem, suffix = os.path.splitext(name)
            attempt = 0
            while path.exists() and not (duplicate := _same(path, data)):
                attempt += 1
                name = f"{stem} ({attempt}){suffix}"
                path = target / name
        if not duplicate:
            if mask:
                data = await asyncio.to_thread(
                    _masked, self._sim.folders, json.loads(str(form["original_ref"])), data
                )
            path.write_bytes(data)
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


def _locate(folders: Folders, request: web.Request) -> Path | int:
    """The file that /view names, or the status that refuses it."""
    query = request.rel_url.query
    if "filename" not in query:
        return 404
    name, folder = folders.annotated(query["filename"])
    if not name or name[0] == "/" or ".." in name:
        return 400
    folder = folder or folders.by_type(query.get("type", "output"))
    if folder is None:
        return 400
    if "subfolder" in query:
        target = folder / query["subfolder"]
        if not inside(folder, target):
            return 403
        folder = target
    # The folder part of the name is dropped, so `sub/x.png` shows the x.png of the root.
    path = folder / os.path.basename(name)
    return path if os.path.isfile(path) else 404


def _preview(path: Path, wanted: str, channel: str) -> tuple[bytes, str]:
    parts = wanted.split(";")
    form = parts[0] if parts[0] in ("webp", "jpeg") and "a" not in channel else "webp"
    quality = int(parts[-1]) if parts[-1].isdigit() else 90
    picture = _open(path)
    return pixels.encode(picture, form.upper(), quality), f"image/{form}"


def _channel(path: Path, channel: str) -> bytes:
    picture = _open(path)
    if channel == "rgb":
        return pixels.png(pixels.rgb(picture))
    alpha = picture.extract_band(3) if picture.hasalpha() else pyvips.Image.black(*_size(picture)) + 255
    black = pyvips.Image.black(*_size(picture), bands=3)
    return pixels.png(black.bandjoin(alpha).cast("uchar").copy(interpretation="srgb"))


def _masked(folders: Folders, original: dict[str, Any], data: bytes) -> bytes:
    """The original picture with the alpha of the uploaded one."""
    name, folder = folders.annotated(original["filename"])
    folder = folder or folders.by_type(original.get("type", "output"))
    if folder is None:
        raise ValueError("no such folder")
    path = folder / original.get("subfolder", "") / name
    if not inside(folder, path):
        raise ValueError("outside the folder")
    below, mask = _open(path), pyvips.Image.new_from_buffer(data, "")
    alpha = mask.extract_band(3) if mask.hasalpha() else pyvips.Image.black(*_size(mask)) + 255
    fitted = pixels.fit(alpha.cast("uchar"), *_size(below))
    return pixels.png(pixels.rgb(below).bandjoin(fitted).copy(interpretation="srgb"))


def _open(path: Path) -> Picture:
    return pyvips.Image.new_from_buffer(path.read_bytes(), "")


def _size(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height


def _same(path: Path, data: bytes) -> bool:
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()
