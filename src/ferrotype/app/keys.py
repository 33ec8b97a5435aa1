"""The key of signed URLs that the server makes for itself where the operator sets none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

NAME: Final = "url.key"
BYTES: Final = 32


def url_keys(configured: Sequence[str], data_dir: Path) -> list[bytes]:
    """The configured keys, else that of the data folder, which is made where there is none: so signed URLs
    outlive a restart. Raises OSError when the folder cannot be written to."""
    if configured:
        return [key.encode() for key in configured]
    path = data_dir / NAME
    with suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_hex(BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
    key = path.read_bytes().strip()
    if len(key) < 2 * BYTES:  # a crash came between its making and its writing: nobody has a URL of it
        path.unlink()
        return url_keys(configured, data_dir)
    return [key]
