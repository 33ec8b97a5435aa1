"""Media types of pictures, and how their files are called."""

from __future__ import annotations

from typing import Final

#: File name extension by media type, of everything that a provider or a user may bring.
EXTENSIONS: Final = {
    "image/apng": "png",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/jxl": "jxl",
    "image/png": "png",
    "image/tiff": "tif",
    "image/webp": "webp",
}
OTHER: Final = "bin"


def extension(content_type: str | None) -> str:
    """What the name of such a file ends with, without a dot."""
    return EXTENSIONS.get(content_type or "", OTHER)
