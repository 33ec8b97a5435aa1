"""`ferrotype serve` with a store that takes its time: `python -m benchmarks.launch.slow_store SECONDS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ferrotype.app import compose
from ferrotype.app.server import serve
from ferrotype.app.settings import load_settings
from ferrotype.cli.main import run
from ferrotype.net.logging import configure
from ferrotype.storage.disk import DiskStore

SECONDS = float(sys.argv[1])


class SlowStore(DiskStore):
    """The disk store as far away as a distant bucket."""

    async def put(self, key: str, source: Path, *, content_type: str, sha256: str) -> None:
        await asyncio.sleep(SECONDS)
        await super().put(key, source, content_type=content_type, sha256=sha256)


if __name__ == "__main__":
    vars(compose)["DiskStore"] = SlowStore
    settings = load_settings()
    configure(settings.log)
    run(serve(settings))
