"""What the spool and the disk store both ask of a file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ferrotype.domain.problems import Overloaded

#: What a disk without room says.
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(folder: Path) -> int:
    """Bytes that this process may still write on the folder's disk."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def sync_folder(folder: Path) -> None:
    """Make the folder's entries survive a power cut. Blocks."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Append every byte; a write may take fewer than it was given."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def full_is_overloaded() -> Iterator[None]:
    """A disk that fills up, or that the system made read-only, is a passing state of ours, not a fault: it is
    raised as Overloaded."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise Overloaded("The disk is full; try again later.", retry_after=60) from error
        if error.errno == errno.EROFS:
            detail = "The disk of the data folder is read-only; try again later."
            raise Overloaded(detail, retry_after=60) from error
        raise
