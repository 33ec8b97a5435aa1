"""One process owns a data folder; the lock file there tells the others where it listens."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from ferrotype.config import ConfigError

NAME = "ferrotype.lock"


class DataFolder:
    """The exclusive use of a data folder, for as long as this process lives.

    The kernel drops the lock with the process, however it ends; the file's content is only an address.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the folder, making it where it is missing. Raises ConfigError when that cannot be done."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.root / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"FERROTYPE_DATA_DIR: {self.root} cannot be written to ({error.strerror})."
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            owner = running_server(self.root) or {}
            raise ConfigError(
                f"FERROTYPE_DATA_DIR: {self.root} belongs to a running server"
                f" ({owner.get('url', 'address not known yet')}, process {owner.get('pid', '?')})."
            ) from None
        self._fd = fd
        self.announce(None)

    def announce(self, url: str | None) -> None:
        """Write down where this process listens."""
        assert self._fd is not None
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.pwrite(self._fd, text.ljust(512), 0)

    def release(self) -> None:
        """Give the folder back."""
        if self._fd is not None:
            self.announce(None)
            os.close(self._fd)
            self._fd = None


def running_server(root: Path) -> dict[str, Any] | None:
    """{pid, url} of the process that owns the folder; None where there is none."""
    try:
        fd = os.open(root / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            found = json.loads(os.pread(fd, 512, 0) or b"{}")
            return found if isinstance(found, dict) else None
        return None
    finally:
        os.close(fd)
