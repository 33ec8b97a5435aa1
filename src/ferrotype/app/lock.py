"""One process owns a data folder; the lock file there tells the others where it listens."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any, Final

from ferrotype.config import ConfigError

NAME: Final = "ferrotype.lock"
LOCK_TRIES: Final = 5
LOCK_PAUSE: Final = 0.02


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
            _lock(fd)
        except OSError as error:
            os.close(fd)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            owner = running_server(self.root) or {}
            what = f"the server at {owner['url']}" if owner.get("url") else "another command"
            raise ConfigError(
                f"FERROTYPE_DATA_DIR: {self.root} is in use by {what} (process {owner.get('pid', '?')})."
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


def _lock(fd: int) -> None:
    """Lock the file. `running_server` elsewhere holds it for a moment, so one refusal proves nothing."""
    for _ in range(LOCK_TRIES - 1):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def running_server(root: Path) -> dict[str, Any] | None:
    """{pid, url} of the process that owns the folder, url None while it does not listen; None where nobody
    owns it."""
    try:
        fd = os.open(root / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            try:
                found = json.loads(os.pread(fd, 512, 0))
            except ValueError:  # its owner has locked it and not written yet
                found = {}
            return found if isinstance(found, dict) else {}
        return None
    finally:
        os.close(fd)
