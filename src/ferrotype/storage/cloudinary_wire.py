"""Cloudinary's wire format: signatures, and the form that an upload is.

Sources: https://cloudinary.com/documentation/authentication_signatures; pycloudinary 1.46, `utils.py`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ferrotype.domain.media import OTHER
from ferrotype.storage.cloudinary_settings import Account

#: Bytes that are read of a file at once.
CHUNK: Final = 256 * 1024
HASHES: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
#: Characters of a delivery URL's signature.
URL_SIGNATURE: Final = 8


def signed(params: Mapping[str, str], account: Account, timestamp: int) -> dict[str, str]:
    """The parameters of a call with all that proves who makes it; empty ones are left out.

    The signature is the hexadecimal hash of `name=value` pairs, sorted, `&` within one escaped, joined by
    `&`, and the secret after them. It is good for an hour.
    """
    told = {name: value for name, value in params.items() if value} | {"timestamp": str(timestamp)}
    text = "&".join(sorted(f"{name}={value}".replace("&", "%26") for name, value in told.items()))
    digest = HASHES[account.algorithm](f"{text}{account.secret}".encode()).hexdigest()
    return told | {"api_key": account.key, "signature": digest}


def delivery_url(account: Account, kind: str, source: str) -> str:
    """Where the network delivers an original; signed where its type asks for that. `source` is the public id,
    with or without an extension. `v1` stands for any version; without it a folder could be taken for
    transforms."""
    signature = ""
    if kind != "upload":
        digest = HASHES[account.algorithm](f"{source}{account.secret}".encode()).digest()
        signature = f"s--{base64.urlsafe_b64encode(digest).decode()[:URL_SIGNATURE]}--/"
    return f"{account.network}/image/{kind}/{signature}v1/{source}"


def extension_of(record: Mapping[str, Any]) -> str:
    """What the name of an image's file ends with here, by its record."""
    form = str(record.get("format") or OTHER)
    return {"jpeg": "jpg", "tiff": "tif", "heif": "heic"}.get(form, form)


def written_at(record: Mapping[str, Any]) -> datetime:
    """When an image was last uploaded, by its record: `created_at` stays when it is replaced, `version` is
    the second of the last upload."""
    created = datetime.fromisoformat(str(record["created_at"]).replace("Z", "+00:00"))
    return max(created, datetime.fromtimestamp(int(record.get("version") or 0), UTC))


@dataclass(frozen=True, slots=True)
class Facts:
    """A file's size in bytes and its hashes in hex."""

    size: int
    md5: str
    sha256: str


def facts_of(path: Path) -> Facts:
    """Reads the file once, in pieces. Raises OSError. Blocks."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(CHUNK):
            md5.update(data)
            sha256.update(data)
            size += len(data)
    return Facts(size, md5.hexdigest(), sha256.hexdigest())


class Form:
    """A multipart form (RFC 7578) with the parameters and bytes `start` to `end` of a file.

    It knows its length, so that nothing is sent in HTTP's own chunks, and holds one piece of the file at a
    time.
    """

    def __init__(self, params: Mapping[str, str], path: Path, name: str, start: int, end: int) -> None:
        """`name` is what the file is called; plain characters only."""
        boundary = secrets.token_hex(16)
        fields = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in params.items()
        ]
        file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        self._head = f"{''.join(fields)}{file}Content-Type: application/octet-stream\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._path, self._start, self._end = path, start, end
        self.length = len(self._head) + end - start + len(self._tail)
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(self.length),
        }

    async def body(self) -> AsyncGenerator[bytes]:
        """The form, piece by piece. Raises OSError, also when the file has become shorter."""
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield self._head
            position = self._start
            while position < self._end:
                data = await asyncio.to_thread(os.pread, fd, min(CHUNK, self._end - position), position)
                if not data:
                    raise OSError(f"{self._path} became shorter while it was uploaded")
                position += len(data)
                yield data
            yield self._tail
        finally:
            os.close(fd)
