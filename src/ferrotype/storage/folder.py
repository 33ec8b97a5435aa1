"""A folder as a listing of files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from ferrotype.storage.base import Entry


async def walk(root: Path, prefix: str = "") -> AsyncIterator[Entry]:
    """Every file below `root / prefix`, folder by folder, by name; keys are relative to `root`. Nothing where
    there is no such folder.

    What begins with a dot is passed over, and so are links, which could lead anywhere. A file counts as
    written when it got its name, where that came later. Raises OSError for a folder that cannot be read.
    """
    waiting = [prefix]
    while waiting:
        folder = waiting.pop()
        files, folders = await asyncio.to_thread(_look, root, folder)
        for entry in files:
            yield entry
        waiting.extend(reversed(folders))


def _look(root: Path, folder: str) -> tuple[list[Entry], list[str]]:
    files: list[Entry] = []
    folders: list[str] = []
    try:
        with os.scandir(root / folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(f"{folder}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            written = datetime.fromtimestamp(max(stat.st_mtime, stat.st_ctime), UTC)
            files.append(Entry(f"{folder}{entry.name}", stat.st_size, written))
    return files, folders
