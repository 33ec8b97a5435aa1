"""The simulated media library: assets by their kind and public id, and uploads whose chunks still come."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyvips

from ferrotype.sim.cloudinary.errors import Refusal
from ferrotype.sim.cloudinary.signing import answer_signature, url_signature

#: How libvips' loaders are called over there.
FORMATS: Final = {
    "jpegload": "jpg",
    "pngload": "png",
    "webpload": "webp",
    "gifload": "gif",
    "tiffload": "tiff",
    "heifload": "avif",
}
#: https://support.cloudinary.com/hc/en-us/articles/115001317409-Permitted-naming-conventions
FORBIDDEN: Final = re.compile(r"[?&#\\%<>+]")
VERSION_FOLDER: Final = re.compile(r"(^|/)v[0-9]+/")
MAX_PUBLIC_ID: Final = 255

#: Resource type, delivery type, public id.
Name = tuple[str, str, str]


@dataclass
class Asset:
    """One kept file. `etag` is its MD5, `version` the second it was uploaded in."""

    name: Name
    data: bytes
    format: str
    width: int | None
    height: int | None
    version: int
    created_at: datetime
    tags: list[str]
    asset_folder: str
    eager: list[str]
    original_filename: str
    context: dict[str, str] = field(default_factory=dict)
    asset_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def etag(self) -> str:
        return hashlib.md5(self.data).hexdigest()

    def to_json(self, base: str, secret: str) -> dict[str, Any]:
        """The answer to an upload, and the details of an asset; `base` is the delivery network's address."""
        resource_type, kind, public_id = self.name
        source = f"{public_id}.{self.format}" if self.format else public_id
        signed = "" if kind == "upload" else f"s--{url_signature(source, secret)}--/"
        url = f"{base}/{resource_type}/{kind}/{signed}v{self.version}/{source}"
        told: dict[str, Any] = {
            "asset_id": self.asset_id,
            "public_id": public_id,
            "version": self.version,
            "version_id": hashlib.md5(f"{self.asset_id}{self.version}".encode()).hexdigest(),
            "signature": answer_signature(public_id, self.version, secret),
            "resource_type": resource_type,
            "created_at": f"{self.created_at:%Y-%m-%dT%H:%M:%SZ}",
            "tags": self.tags,
            "bytes": len(self.data),
            "type": kind,
            "etag": self.etag,
            "placeholder": False,
            "url": url.replace("https://", "http://"),
            "secure_url": url,
            "asset_folder": self.asset_folder,
            "display_name": public_id.rpartition("/")[2],
            "original_filename": self.original_filename,
        }
        if resource_type == "image":
            told |= {"width": self.width, "height": self.height, "format": self.format}
        return told


@dataclass
class Partial:
    """An upload in chunks. `total` is in bytes; `public_id` is settled by the first chunk."""

    public_id: str
    total: int
    data: bytearray = field(default_factory=bytearray)


@dataclass
class Library:
    """What the product environment keeps. `cached` is what the delivery network still has of each asset."""

    assets: dict[Name, Asset] = field(default_factory=dict)
    partials: dict[str, Partial] = field(default_factory=dict)
    cached: dict[tuple[Name, str], bytes] = field(default_factory=dict)
    invalidated: list[Name] = field(default_factory=list)

    def invalidate(self, name: Name) -> None:
        """Takes an asset out of the delivery network's caches."""
        self.invalidated.append(name)
        self.cached = {key: data for key, data in self.cached.items() if key[0] != name}


def checked_public_id(text: str) -> str:
    """A public id as it is kept. Raises Refusal."""
    public_id = text.strip().strip("/")
    invalid = not public_id or len(public_id) > MAX_PUBLIC_ID or FORBIDDEN.search(public_id)
    if invalid or VERSION_FOLDER.search(public_id):
        raise Refusal(f"public_id ({text}) is invalid")
    return public_id


def look_at(data: bytes) -> tuple[str, int, int]:
    """Format, width and height of a picture. Raises Refusal for what is none."""
    if not data:
        raise Refusal("Empty file")
    try:
        picture = pyvips.Image.new_from_buffer(data, "")
    except pyvips.Error:
        raise Refusal("Invalid image file") from None
    loader = str(picture.get("vips-loader")).removesuffix("_buffer")
    if loader not in FORMATS:
        raise Refusal("Unsupported image format")
    return FORMATS[loader], int(picture.width), int(picture.height)
