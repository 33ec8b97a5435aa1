"""Peers from registries, each in an environment of its own in `.peers/`, made from `locks/` on first use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.processes import ROOT
from benchmarks.report import console

ENVIRONMENTS: Final = ROOT / ".peers"
LOCKS: Final = Path(__file__).parent / "locks"
INSTALL_SECONDS: Final = 300


class Missing(Exception):
    """A peer cannot be had on this machine; the text says which, and why."""


def venv(name: str) -> Path:
    """The interpreter of the environment that `locks/<name>.txt` describes. Raises Missing."""
    lock = LOCKS / f"{name}.txt"
    folder = ENVIRONMENTS / name

    def install() -> None:
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], name)
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
        _run([*pip, "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)], name)

    _ready(name, folder, lock, install)
    return folder / "bin" / "python"


def node(name: str) -> Path:
    """The folder of the node packages that `locks/<name>/package-lock.json` describes. Raises Missing."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise Missing(f"peer missing: {name} needs {tool} (Debian: apt-get install nodejs npm)")
    folder = ENVIRONMENTS / name
    lock = LOCKS / name / "package-lock.json"

    def install() -> None:
        for file in (LOCKS / name).iterdir():
            shutil.copy(file, folder / file.name)
        # What is needed comes ready in its package; no script of a package runs here.
        options = ["--ignore-scripts", "--no-fund", "--no-audit", "--loglevel", "error"]
        _run(["npm", "ci", "--prefix", str(folder), *options], name)

    _ready(name, folder, lock, install)
    return folder


def available(name: str, make: Callable[[str], Path]) -> Path | None:
    """What `make` (`venv` or `node`) gives, or None with a word on the console."""
    try:
        return make(name)
    except Missing as error:
        console.print(f"[yellow]{error}[/]")
        return None


def node_versions(folder: Path, *packages: str) -> str:
    """`name version` of installed node packages, separated by commas."""
    found = {p: json.loads((folder / "node_modules" / p / "package.json").read_text()) for p in packages}
    return ", ".join(f"{name} {about['version']}" for name, about in found.items())


def python_versions(interpreter: Path, *packages: str) -> str:
    """`name version` of packages installed beside this interpreter, separated by commas."""
    script = (
        "import sys, importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    )
    command = [str(interpreter), "-c", script, *packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _ready(name: str, folder: Path, lock: Path, install: Callable[[], None]) -> None:
    """Make the environment anew when the lock is another one than it was made from."""
    stamp, digest = folder / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with console.status(f"installing {name} into {folder}"):
        install()
    stamp.write_text(digest)


def _run(command: list[str], name: str) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env={**os.environ, "NODE_ENV": "production"},
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"peer missing: {name} took more than {INSTALL_SECONDS} s to install") from None
    except (OSError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).splitlines()
        said = next((line for line in lines if "error" in line.lower()), str(error))
        raise Missing(f"peer missing: {name} cannot be installed: {said.strip()}") from None
