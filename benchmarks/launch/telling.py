"""`ferrotype serve` that tells events by itself: `python -m benchmarks.launch.telling FOLDER`.

A file `N.plan` in the folder says what to tell: `{"rate", "seconds", "size", "durable", "topics"}`, which are
generations; none stands for the account. `N.done` says what was told. Each event carries the moment, on the
machine's monotonic clock, at which it was begun.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from ferrotype.app.compose import Ferrotype
from ferrotype.app.server import serve
from ferrotype.app.settings import load_settings
from ferrotype.cli.main import run
from ferrotype.db.database import Transaction
from ferrotype.domain.event import Event
from ferrotype.net.logging import configure

FOLDER = Path(sys.argv[1])
LOOK_SECONDS = 0.02


async def tell(application: Ferrotype) -> None:
    """Follow plans until the process is stopped."""
    for number in itertools.count():
        plan = FOLDER / f"{number}.plan"
        for _ in itertools.count():
            if plan.exists():
                break
            await asyncio.sleep(LOOK_SECONDS)
        told = await _follow(application, json.loads(plan.read_text()))
        (FOLDER / f"{number}.new").write_text(json.dumps({"told": told}))
        (FOLDER / f"{number}.new").rename(FOLDER / f"{number}.done")


async def _follow(application: Ferrotype, plan: dict[str, Any]) -> int:
    topics, filler = plan["topics"], "x" * plan["size"]
    began, count = time.monotonic(), int(plan["rate"] * plan["seconds"])
    writing: set[asyncio.Task[None]] = set()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / plan["rate"] - time.monotonic()))
        topic = topics[number % len(topics)] if topics else None
        if plan["durable"]:
            task = asyncio.create_task(_record(application, topic, number, filler))
            writing.add(task)
            task.add_done_callback(writing.discard)
        else:
            data = {"index": number, "data_uri": filler, "told": time.monotonic()}
            account = None if topic else application.account_id
            application.bus.publish(
                Event("preview", topic, application.clock.now(), data, account_id=account)
            )
    await asyncio.gather(*writing)
    return count


async def _record(application: Ferrotype, topic: str, number: int, filler: str) -> None:
    began = time.monotonic()

    def story(tx: Transaction) -> None:
        application.journal.record(tx, "stored", topic, store=filler, index=number, told=began)

    await application.database.write(story)


if __name__ == "__main__":
    settings = load_settings()
    configure(settings.log)
    run(serve(settings, while_serving=tell, alone=True))
