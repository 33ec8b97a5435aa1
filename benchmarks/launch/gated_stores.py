"""`ferrotype serve` whose store jobs wait for SIGUSR1, and begin together then.

Nothing else is changed: the jobs are leased, and whoever measures knows when the first byte was sent.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from ferrotype.app.server import serve
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.cli.main import run
from ferrotype.net.logging import configure
from ferrotype.storage.object_store import ObjectStore

put = ObjectStore.put
gate = asyncio.Event()


async def put_later(self: ObjectStore, key: str, source: Path, *, content_type: str, sha256: str) -> None:
    await gate.wait()
    await put(self, key, source, content_type=content_type, sha256=sha256)


async def gated(settings: AppSettings) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, gate.set)
    await serve(settings, alone=True)


if __name__ == "__main__":
    ObjectStore.put = put_later  # type: ignore[method-assign]
    settings = load_settings()
    configure(settings.log)
    run(gated(settings))
