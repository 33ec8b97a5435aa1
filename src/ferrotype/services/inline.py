"""Pictures that events carry in themselves, as data URIs: made once for all who ask."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections import OrderedDict
from typing import Any, Final, Literal

from ferrotype.domain.problems import Problem
from ferrotype.domain.transform import Transform
from ferrotype.imaging.inspect import peek
from ferrotype.services.deliver import Deliver, Found
from ferrotype.services.variants import Variants
from ferrotype.services.workflows import Workflows
from ferrotype.storage.memory import Cached

Inline = Literal["placeholder", "preview", "output"]

#: Longest side of a preview in pixels, and its most bytes.
SIDE: Final = 256
MAX_PREVIEW: Final = 32_768
#: WebP qualities that are tried until a preview is small enough.
QUALITIES: Final = (75, 50, 25)
#: Seconds that an event waits for its picture.
PATIENCE: Final = 5.0
#: Bytes of data URIs that are kept for those who ask a little later.
KEPT_BYTES: Final = 16 * 1024 * 1024


class InlinePictures:
    """Small copies of finished pictures. `max_bytes` bounds those that are taken as they are."""

    def __init__(self, deliver: Deliver, variants: Variants, workflows: Workflows, max_bytes: int) -> None:
        self._deliver = deliver
        self._variants = variants
        self._workflows = workflows
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, Inline], dict[str, Any]] = OrderedDict()
        self._bytes = 0
        self._making: dict[tuple[str, Inline], asyncio.Task[dict[str, Any] | None]] = {}

    async def get(self, asset_id: str, kind: Inline) -> dict[str, Any] | None:
        """`kind`, `content_type`, `width`, `height` and `data_uri` of the asset's preview, or of its output;
        one that is too large comes as a preview. None where there is none to be had within a few seconds."""
        key = asset_id, kind
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        task = self._making.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(asset_id, kind))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Drop what is being made."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    async def _make(self, asset_id: str, kind: Inline) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._deliver.find(asset_id)
                original = await self._original(found) if kind == "output" else None
                made = _told("output", original) if original else await self._preview(found)
        except (Problem, FileNotFoundError, TimeoutError):
            return None
        if made is not None:
            self._keep((asset_id, kind), made)
        return made

    async def _original(self, found: Found) -> Cached | None:
        """The file as anybody may have it, if it is small enough."""
        if found.asset.bytes is not None and found.asset.bytes > self._max_bytes:
            return None
        holds = await self._workflows.holds(found)
        if holds is None:  # its bytes are still on their way
            return None
        opened = await (self._variants.clean(found) if holds else self._deliver.open(found))
        body = opened.delivery
        return body if isinstance(body, Cached) and len(body.body) <= self._max_bytes else None

    async def _preview(self, found: Found) -> dict[str, Any] | None:
        for quality in QUALITIES:
            transform = Transform(w=SIDE, h=SIDE, fit="inside", format="webp", q=quality)
            made = (await self._variants.get(found, transform)).delivery
            if isinstance(made, Cached) and len(made.body) <= MAX_PREVIEW:
                return _told("preview", made)
        return None

    def _keep(self, key: tuple[str, Inline], made: dict[str, Any]) -> None:
        self._kept[key] = made
        self._bytes += len(made["data_uri"])
        while self._bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest["data_uri"])


def placeholder(data_uri: str) -> dict[str, Any]:
    """An asset's placeholder in the same form."""
    head, _, encoded = data_uri.partition(",")
    content_type = head.removeprefix("data:").removesuffix(";base64")
    return _shape("placeholder", content_type, b64decode(encoded), data_uri)


def _told(kind: Inline, picture: Cached) -> dict[str, Any]:
    encoded = b64encode(picture.body).decode()
    return _shape(kind, picture.content_type, picture.body, f"data:{picture.content_type};base64,{encoded}")


def _shape(kind: Inline, content_type: str, body: bytes, data_uri: str) -> dict[str, Any]:
    width, height = peek(body) or (None, None)
    return {
        "kind": kind,
        "content_type": content_type,
        "width": width,
        "height": height,
        "data_uri": data_uri,
    }
