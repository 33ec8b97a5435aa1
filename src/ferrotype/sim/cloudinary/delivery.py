"""The simulated delivery network: original files at `/{cloud}/{resource type}/{delivery type}/...`.

It caches what it delivered, as the real one does: what was destroyed or replaced without `invalidate` is
still there. Transformations are refused; another extension than the file's converts it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import pyvips
from aiohttp import web

from ferrotype.sim import pixels
from ferrotype.sim.cloudinary.errors import Refusal
from ferrotype.sim.cloudinary.library import Library, Name
from ferrotype.sim.cloudinary.script import CloudinaryScript
from ferrotype.sim.cloudinary.signing import url_fits
from ferrotype.sim.cloudinary.uploads import algorithms
from ferrotype.sim.options import take

SIGNATURE: Final = re.compile(r"s--([A-Za-z0-9_-]{8}|[A-Za-z0-9_-]{32})--")
VERSION: Final = re.compile(r"v[0-9]+")
TRANSFORMATION: Final = re.compile(r"[a-z]{1,4}_[^,]+(,[a-z]{1,4}_[^,]+)*")
RANGE: Final = re.compile(r"bytes=([0-9]{1,15})-([0-9]{0,15})")
TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "avif": "image/avif",
}
ENCODED: Final = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


@dataclass
class Delivery:
    """`script` and `library` are the simulator's."""

    script: CloudinaryScript
    library: Library

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The file, or the part of it that is asked for."""
        try:
            data, content_type = self._found(request)
        except Refusal as refusal:
            return refusal.delivered()
        headers = {
            "ETag": f'"{hashlib.md5(data).hexdigest()}"',
            "Accept-Ranges": "bytes",
            "Content-Type": content_type,
        }
        status, part = 200, data
        found = RANGE.fullmatch(request.headers.get("Range", ""))
        if found is not None and self.script.ranges:
            first, last = int(found[1]), int(found[2] or len(data) - 1)
            if first >= len(data) or last < first:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
            status, part = 206, data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        breaks, self.script.breaks = (
            take(self.script.breaks) if request.method == "GET" else (False, self.script.breaks)
        )
        if breaks:
            return await _broken(request, status, headers, part)
        return web.Response(status=status, body=part, headers=headers)

    def _found(self, request: web.Request) -> tuple[bytes, str]:
        """The bytes and their type. Raises Refusal."""
        info, script = request.match_info, self.script
        if info["cloud"] != script.cloud:
            raise Refusal(f"Unknown customer {info['cloud']}", 401)
        signature, transformations, source = _parts(info["tail"])
        kind = info["type"]
        if signature or kind != "upload":
            signed = "/".join([*transformations, source])
            if not url_fits(signed, script.secret, signature, algorithms(script)):
                raise Refusal("unauthorized: the URL is not signed right", 401)
        if transformations:
            raise Refusal("Transformations are not simulated")
        public_id, form = source, ""
        if info["resource_type"] == "image" and "." in source.rpartition("/")[2]:
            public_id, _, form = source.rpartition(".")
            if form not in TYPES:
                raise Refusal(f"Invalid extension in transformation: {form}")
        return self._bytes((info["resource_type"], kind, public_id), form)

    def _bytes(self, name: Name, form: str) -> tuple[bytes, str]:
        asset, cached = self.library.assets.get(name), self.library.cached.get((name, form))
        if cached is None:
            if asset is None:
                raise Refusal(f"Resource not found - {name[2]}", 404)
            cached = asset.data
            if form not in ("", asset.format):
                picture = pyvips.Image.new_from_buffer(asset.data, "")
                cached = pixels.encode(picture, ENCODED.get(form, "PNG"))
            self.library.cached[name, form] = cached
        known = form or (asset.format if asset is not None else "")
        return cached, TYPES.get(known, "application/octet-stream")


def _parts(tail: str) -> tuple[str, list[str], str]:
    """Signature, transformations, and the public id with or without an extension. What comes before a version
    are transformations; without one they are what looks like them."""
    segments = tail.split("/")
    found = SIGNATURE.fullmatch(segments[0])
    if found is not None:
        segments = segments[1:]
    first = next((index for index, each in enumerate(segments[:-1]) if VERSION.fullmatch(each)), None)
    if first is not None:
        return found[1] if found else "", segments[:first], "/".join(segments[first + 1 :])
    first = 0
    while first < len(segments) - 1 and TRANSFORMATION.fullmatch(segments[first]):
        first += 1
    return found[1] if found else "", segments[:first], "/".join(segments[first:])


async def _broken(
    request: web.Request, status: int, headers: dict[str, str], data: bytes
) -> web.StreamResponse:
    """Half of the bytes that were announced, and no more."""
    response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
