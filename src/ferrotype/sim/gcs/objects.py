"""The buckets: objects, and uploads in parts that are not complete yet."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

#: Every part but the last has at least so many bytes.
MIN_PART: Final = 5 * 1024 * 1024
GENERATIONS: Final[Iterator[int]] = itertools.count(1_700_000_000_000_000)
#: What an object remembers of the request that made it.
KEPT_HEADERS: Final = (
    "Content-Type",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
)


@dataclass(frozen=True)
class StoredObject:
    """One object. The ETag of what came in one piece is its MD5; that of what came in parts tells nothing."""

    data: bytes
    headers: dict[str, str]
    in_parts: bool = False
    generation: int = field(default_factory=lambda: next(GENERATIONS))
    made: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def etag(self) -> str:
        if self.in_parts:
            told = base64.b64encode(self.generation.to_bytes(8, "big")).decode()
            return f'"-{told}"'
        return etag(self.data)

    def describe(self) -> dict[str, str]:
        """The headers of an answer."""
        described = {
            "ETag": self.etag,
            "Last-Modified": f"{self.made:%a, %d %b %Y %H:%M:%S GMT}",
            "x-goog-generation": str(self.generation),
            "x-goog-stored-content-length": str(len(self.data)),
            "Accept-Ranges": "bytes",
        }
        if not self.in_parts:
            digest = hashlib.md5(self.data, usedforsecurity=False).digest()
            described["x-goog-hash"] = f"md5={base64.b64encode(digest).decode()}"
        return self.headers | described


@dataclass
class Upload:
    """An upload in parts, by number."""

    bucket: str
    name: str
    headers: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class Buckets:
    """All that is kept."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.uploads: dict[str, Upload] = {}

    def begin(self, bucket: str, name: str, headers: dict[str, str]) -> str:
        """A new upload in parts; its id."""
        upload_id = secrets.token_urlsafe(16)
        self.uploads[upload_id] = Upload(bucket, name, headers)
        return upload_id

    def complete(self, upload_id: str, told: list[tuple[int, str]]) -> StoredObject | str:
        """The object made of the parts with these numbers and ETags, or the code of what is wrong."""
        upload = self.uploads[upload_id]
        numbers = [number for number, _ in told]
        if numbers != sorted(set(numbers)) or not numbers:
            return "InvalidPartOrder"
        if any(number not in upload.parts or etag(upload.parts[number]) != named for number, named in told):
            return "InvalidPart"
        parts = [upload.parts[number] for number in numbers]
        if any(len(part) < MIN_PART for part in parts[:-1]):
            return "EntityTooSmall"
        del self.uploads[upload_id]
        return StoredObject(b"".join(parts), upload.headers, in_parts=True)

    def names(self, bucket: str, prefix: str, after: str) -> list[str]:
        """Names in a bucket that begin with `prefix` and come after `after`, in order."""
        return sorted(
            name for held, name in self.objects if held == bucket and name.startswith(prefix) and name > after
        )


def etag(data: bytes) -> str:
    """The MD5, quoted."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
