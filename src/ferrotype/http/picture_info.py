"""`GET /images/{asset_id}/info`: what a page wants to know of a picture before it loads."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import rfc3339
from ferrotype.domain.states import AssetState
from ferrotype.http.asgi import Headers, Scope, Send, body, start
from ferrotype.http.conditional import Conditions
from ferrotype.http.picture_headers import ANY_ORIGIN, Caching

#: Seconds that the facts of a complete picture may be kept; its visibility is not among them.
KEPT: Final = 86_400


def facts(asset: Asset) -> dict[str, Any]:
    """Everything that the picture itself tells anyway, and nothing of who ordered it with which words."""
    return {
        "id": asset.id,
        "object": "image_info",
        "state": asset.state.value,
        "width": asset.width,
        "height": asset.height,
        "content_type": asset.content_type,
        "bytes": asset.bytes,
        "sha256": asset.sha256,
        "animated": asset.animated,
        "has_alpha": asset.has_alpha,
        "placeholder": asset.placeholder.model_dump() if asset.placeholder else None,
        "source_type": asset.source_type,
        "credit": asset.credit.model_dump() if asset.credit else None,
        "created_at": rfc3339(asset.created_at),
    }


async def send_info(scope: Scope, send: Send, asset: Asset, caching: Caching, left: float | None) -> None:
    """The facts as JSON. Until all are known nobody keeps them; `left` is as for `Caching.header`."""
    data = json.dumps(facts(asset), ensure_ascii=False, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'.encode()
    told: Headers = [(b"etag", tag), (b"cache-control", _cache_control(asset, left)), ANY_ORIGIN]
    told += caching.tag(asset.id, private=asset.visibility is Visibility.PRIVATE)
    if Conditions(scope, tag).has_it(exists=True):
        await send(start(304, told))
        await send(body(b""))
        return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(data)),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send(start(200, [*told, *headers]))
    await send(body(b"" if scope["method"] == "HEAD" else data))


def _cache_control(asset: Asset, left: float | None) -> bytes:
    if asset.visibility is Visibility.PRIVATE:
        return b"private, no-cache"
    complete = asset.state is AssetState.READY and asset.placeholder is not None
    kept = KEPT if left is None else min(KEPT, left)
    return b"public, max-age=%d" % kept if complete else b"no-store"
