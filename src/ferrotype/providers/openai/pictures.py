"""Pictures on their way out and back: masks in the server's form, previews small enough to be shown.

Ferrotype's mask is white where the picture is changed. OpenAI's is a PNG of the first picture's size that is
transparent there; it reads the alpha channel and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ferrotype.domain.problems import Problem, ProviderRejected
from ferrotype.imaging.sniff import sniff
from ferrotype.imaging.vips import VipsError, kind_of, open_image, scaled, shown_size
from ferrotype.providers.base import AttemptRequest, Preview

#: Longer side of a preview, in pixels.
PREVIEW_SIDE: Final = 512
PREVIEW_WEBP: Final = {"Q": 75, "effort": 0, "keep": "none"}


async def mask_of(request: AttemptRequest, first: bytes, *, transparent: bool) -> bytes | None:
    """The request's mask as PNG, in the size of the `first` picture as shown; None where there is none.

    Raises ProviderRejected when it cannot be read.
    """
    if request.mask is None:
        return None
    data = await request.mask.read()
    try:
        return await asyncio.to_thread(_mask, data, first, transparent)
    except (Problem, VipsError):
        raise ProviderRejected("The mask cannot be read.", field="mask") from None


async def preview_of(data: bytes) -> Preview | None:
    """An unfinished picture, made small; None where it is no picture. Services send them in full size."""
    kind = sniff(data)
    if kind is None or kind.loader is None:
        return None
    try:
        small = await asyncio.to_thread(
            lambda: scaled(data, kind, PREVIEW_SIDE, PREVIEW_SIDE).webpsave_buffer(**PREVIEW_WEBP)
        )
    except VipsError:
        return None
    return Preview(small, "image/webp")


def _mask(data: bytes, first: bytes, transparent: bool) -> bytes:
    size = shown_size(open_image(first, kind_of(first)))
    mask: Any = scaled(data, kind_of(data), *size, size="force")
    if mask.hasalpha():  # nothing is there, so nothing is changed there
        mask = mask.flatten(background=[0] * (mask.bands - 1))
    light = mask.colourspace("b-w").extract_band(0)
    if transparent:
        black = light.new_from_image([0, 0, 0]).copy(interpretation="srgb")
        light = black.bandjoin(light.invert())
    png: bytes = light.pngsave_buffer(compression=6, keep="none")
    return png
