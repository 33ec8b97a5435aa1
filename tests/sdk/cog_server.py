"""Real Cog servers from PyPI in environments of their own; their model is `scripts/cog_predictor.py`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.sdk.venvs import ROOT, python_of

PREDICTOR: Final = ROOT / "tests" / "sdk" / "scripts" / "cog_predictor.py"
PATIENCE: Final = 60.0

#: What `cog build` would make of the predictor. A Python server makes its own.
SCHEMA: Final[dict[str, Any]] = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "paths": {},
    "components": {
        "schemas": {
            "Input": {
                "title": "Input",
                "type": "object",
                "required": ["prompt"],
                "properties": {
                    "prompt": {"type": "string"},
                    "width": {"type": "integer", "default": 16, "minimum": 1, "maximum": 256},
                    "height": {"type": "integer", "default": 16, "minimum": 1, "maximum": 256},
                    "num_outputs": {"type": "integer", "default": 1, "minimum": 1, "maximum": 4},
                    "seed": {"type": "integer", "default": 0},
                    "image": {"type": "string", "format": "uri", "nullable": True},
                    "gate": {"type": "string", "default": ""},
                    "fail": {"type": "string", "default": ""},
                },
            },
            "Output": {"type": "array", "items": {"type": "string", "format": "uri"}},
        }
    },
}


@dataclass
class RealCog:
    """A server under way. `folder` is its working folder."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def gate(self) -> Path:
        """The file that a prediction waits for whose `gate` names it."""
        return self.folder / "gate"

    def runs(self) -> int:
        """How often `predict` was called."""
        return len((self.folder / "runs").read_text().splitlines())

    def health(self) -> str:
        """Its state; empty while it does not answer."""
        try:
            with urllib.request.urlopen(self.url + "/health-check", timeout=5) as reply:
                return str(json.load(reply)["status"])
        except OSError:
            return ""

    def wait(self, *states: str) -> None:
        """Returns when it is in one of those states."""
        until = time.monotonic() + PATIENCE
        while (state := self.health()) not in states:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3_000:]
            assert time.monotonic() < until, f"still {state}"
            time.sleep(0.05)


@contextmanager
def cog_server(
    name: str, folder: Path, *arguments: str, schema: bool = True, until: str = "READY", **environ: str
) -> Iterator[RealCog]:
    """`python -m cog.server.http` of the environment `name`, once its set-up has come to `until`."""
    python = python_of(name)
    shutil.copy(PREDICTOR, folder / "predict.py")
    (folder / "runs").touch()
    (folder / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    if schema:
        (folder / ".cog").mkdir()
        (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(SCHEMA))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        # The worker is started as `python`: it must be this environment's.
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(folder),
        "PORT": str(port),
        "RUNS": str(folder / "runs"),
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
        **environ,
    }
    command = [str(python), "-m", "cog.server.http", "--host", "127.0.0.1", *arguments]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    server = RealCog(f"http://127.0.0.1:{port}", folder, process)
    try:
        server.wait(until)
        yield server
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, in a session of their own
        process.wait()
