"""A store as a machine sees it whose clock is off: `libfaketime` tells a process of its own another time."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
from typing import Any

from ferrotype.storage.registry import STORE_KINDS
from ferrotype.storage.store_settings import StoreSettings
from tests.sdk.venvs import ROOT, python_of

#: Its wheel calls itself good for any machine, and has a library for one kind.
POSSIBLE = (sys.platform, platform.machine()) == ("linux", "x86_64")


def health(kind: str, settings: StoreSettings, off: str) -> dict[str, Any]:
    """What the store says of its health where the clock is `off` (`-2h`)."""
    folder = python_of("faketime").parents[1]
    library = next(folder.glob("lib/python*/site-packages/libfaketime/vendor/libfaketime/src/*.so.1"))
    env = {
        "PATH": os.environ.get("PATH", ""),
        "LD_PRELOAD": str(library),
        "FAKETIME": off,
        "DONT_FAKE_MONOTONIC": "1",
    }
    values = json.dumps(settings.model_dump(mode="json"))
    command = [sys.executable, "-m", "tests.storage.wrong_clock", kind, values]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def _told(kind: str, values: str) -> dict[str, Any]:
    chosen = STORE_KINDS[kind]
    found = await chosen.make(chosen.settings(**json.loads(values)), kind, 0).health()
    return {"ok": found.ok, "detail": found.detail}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_told(*sys.argv[1:]))), flush=True)
    os._exit(0)  # the library and obstore's threads do not always end well together
