"""exiftool, which reads the metadata of pictures as nothing of ours does: the machine's, else one from npm.

`requirements/sdk/exiftool` is the lock; what is installed lies in `.sdk/exiftool`.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements" / "sdk" / "exiftool"
FOLDER: Final = ROOT / ".sdk" / "exiftool"
PROGRAM: Final = FOLDER / "node_modules" / "exiftool-vendored.pl" / "bin" / "exiftool"


def exiftool() -> list[str]:
    """How it is called. Skips the test where it cannot be had, and says why."""
    found = _find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def _find() -> list[str] | str:
    own = shutil.which("exiftool")
    if own is not None:
        return [own]
    missing = [name for name in ("perl", "npm") if shutil.which(name) is None]
    if missing:
        return (
            f"exiftool is missing (Debian: libimage-exiftool-perl), and {' and '.join(missing)} to fetch it"
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER.parent / "exiftool.busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        stamp = FOLDER / "package-lock.json"
        lock = (LOCK / "package-lock.json").read_bytes()
        if not PROGRAM.is_file() or stamp.read_bytes() != lock:
            for name in ("package.json", "package-lock.json"):
                (FOLDER / name).write_bytes((LOCK / name).read_bytes())
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=FOLDER, capture_output=True, text=True, timeout=100, check=False
            )
            if done.returncode:
                stamp.unlink()
                return f"npm cannot fetch exiftool: {done.stderr.strip()[-300:]}"
    return ["perl", str(PROGRAM)]
