"""Throw-away environments for the official SDKs that drive our simulators, one per SDK version.

`requirements/sdk/<name>.txt` is a hashed lock; the environment lies in `.sdk/<name>` and is made anew when
the lock changes. Scripts in `tests/sdk/scripts` run in it, and print one JSON value.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
ENVIRONMENTS: Final = ROOT / ".sdk"


def python_of(name: str) -> Path:
    """The environment's interpreter; makes the environment when it is not there. Test processes share it."""
    lock = ROOT / "requirements" / "sdk" / f"{name}.txt"
    folder = ENVIRONMENTS / name
    stamp, digest = folder / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            # Our own pip serves, and most of what it installs is never imported: that saves half of the time.
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
            options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--require-hashes"]
            subprocess.run([*pip, *options, "-r", str(lock)], check=True)
            stamp.write_text(digest)
    return folder / "bin" / "python"


def drive(name: str, script: str, *arguments: str, **environ: str) -> Any:
    """What the script printed, as JSON. Raises AssertionError with its output when it failed."""
    path = ROOT / "tests" / "sdk" / "scripts" / script
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(ENVIRONMENTS),
        "PYTHONWARNINGS": "ignore",
        **environ,
    }
    done = subprocess.run(
        [str(python_of(name)), str(path), *arguments], env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, f"{script} failed:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.strip().splitlines()[-1])
