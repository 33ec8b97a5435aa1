"""Reading archives as users do: with Python's zipfile and with what the machine has."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

#: How each tool tests a whole archive. bsdtar gets it through a pipe, so that it cannot look at the directory
#: at the end first.
TOOLS = {
    "unzip": ("unzip", "-tq", "{}"),
    "zip": ("zip", "-T", "{}"),
    "bsdtar": ("bsdtar", "-xOf", "-"),
    "7zz": ("7zz", "t", "{}"),
}


def contents(archive: bytes) -> dict[str, bytes]:
    """The files by name; every CRC is checked on the way."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = opened.namelist()
        assert len(names) == len(set(names))
        return {name: opened.read(name) for name in names}


def manifest(archive: bytes) -> dict[str, Any]:
    """`manifest.json`, which is the last file."""
    files = contents(archive)
    assert list(files)[-1] == "manifest.json"
    return dict(json.loads(files["manifest.json"]))


def extract(tool: str, archive: Path) -> bytes:
    """What the tool says when it has read all of the archive, which it must like."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    command = [part.format(archive) for part in TOOLS[tool]]
    with archive.open("rb") as stdin:
        done = subprocess.run(
            command,
            stdin=stdin,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
