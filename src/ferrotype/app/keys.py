"""The secret that an installation makes for itself."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

NAME: Final = "secret.key"
BYTES: Final = 32


def own_secret(data_dir: Path) -> bytes:
    """The secret of the data folder, made where there is none, so that what it signed outlives a restart.
    Raises OSError when the folder cannot be written to."""
    path = data_dir / NAME
    with suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_hex(BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
    secret = path.read_bytes().strip()
    if len(secret) < 2 * BYTES:  # a crash came between its making and its writing: nobody has used it
        path.unlink()
        return own_secret(data_dir)
    return secret
