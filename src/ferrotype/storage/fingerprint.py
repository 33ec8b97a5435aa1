"""What object stores are held against: the hashes of a file, taken in one pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Read in one go, in bytes.
STEP: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`sha256` in hex, `size` in bytes. `etag` is what an S3 service calls the bytes, and Google's XML
    interface those that came in one piece: their MD5 in hex, and for an upload in parts the MD5 of the parts'
    MD5s with the number of parts."""

    sha256: str
    size: int
    etag: str

    def matches(self, size: int, etag: str | None) -> bool:
        """Whether an object's size and ETag prove that it has these bytes. False proves nothing: an ETag may
        be of another kind."""
        return size == self.size and etag is not None and etag.strip('"').lower() == self.etag


def of_bytes(data: bytes) -> Fingerprint:
    """Of bytes that are uploaded in one piece."""
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Fingerprint(hashlib.sha256(data).hexdigest(), len(data), etag)


def fingerprint(path: Path, part_bytes: int) -> Fingerprint:
    """Reads the file once. One of more than `part_bytes` bytes is uploaded in parts of that many. Raises
    OSError."""
    whole, part = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    parts: list[bytes] = []
    size = 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(min(STEP, part_bytes - size % part_bytes)):
            whole.update(data)
            part.update(data)
            size += len(data)
            if size % part_bytes == 0:
                parts.append(part.digest())
                part = hashlib.md5(usedforsecurity=False)
    if size % part_bytes or not parts:
        parts.append(part.digest())
    if len(parts) > 1:
        of_parts = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
        etag = f"{of_parts}-{len(parts)}"
    else:
        etag = parts[0].hex()
    return Fingerprint(whole.hexdigest(), size, etag)
