"""A process that leases one job and hangs, to be killed: `victim.py DATABASE CLASS NOW LEASE_SECONDS`."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.clock import ManualClock
from ferrotype.engine.sqlite import SqliteEngine


async def main(path: str, class_: str, now: str, lease_seconds: str) -> None:
    database = SqliteDatabase(Path(path))
    clock = ManualClock(datetime.fromisoformat(now))
    engine = SqliteEngine(database, clock, {class_: 1}, owner="victim", lease_seconds=float(lease_seconds))
    [lease] = await engine.claim(1)
    print(f"leased {lease.job_id}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
