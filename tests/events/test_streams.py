"""The event stream over the bus: a slow reader reads the journal again and misses nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ferrotype.db.database import Transaction
from ferrotype.events.memory import MAILBOX
from ferrotype.http.sse import stream
from ferrotype.sim.comfyui import ComfySim, Script
from tests.flows.harness import Client, running

ORDER = {"prompt": "a fox", "width": 256, "height": 256, "seed": 7}


async def parsed(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
    async for chunk in chunks:
        if not chunk.startswith(b":"):
            number, type, data = chunk.decode().rstrip("\n").split("\n")
            yield int(number[4:]), type[7:], json.loads(data[6:])


async def record(client: Client, generation_id: str, count: int) -> None:
    """State events as stories write them, in transactions of their own."""

    def story(tx: Transaction) -> None:
        client.app.journal.record(tx, "stored", generation_id, store="test")

    await asyncio.gather(*(client.app.database.write(story) for _ in range(count)))


async def test_a_reader_that_falls_behind_reads_the_journal_again(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url) as client,
    ):
        accepted = await client.order_async(**ORDER)
        await sim.held(1)
        body = stream(client.app.context, accepted["id"], client.base, None)
        async with aclosing(body):
            events = parsed(body)
            seen, type, _ = await anext(events)
            assert type == "snapshot"
            count = MAILBOX + 50
            await record(client, accepted["id"], count)  # nobody reads meanwhile
            sim.release()
            found = [(number, type) async for number, type, _ in events]
        state = [(number, type) for number, type in found if type not in ("progress", "preview")]
        assert [type for _, type in state].count("stored") >= count
        assert state[-1][1] == "succeeded"
        numbers = [number for number, _ in state]
        assert numbers == sorted(set(numbers)), "each once and in order"
        assert numbers[0] > seen


async def test_silence_is_broken_by_comments(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_KEEP_ALIVE="0.01") as client,
    ):
        accepted = await client.order_async(**ORDER)
        await sim.held(1)
        url = f"{client.base}/v1/generations/{accepted['id']}/events"
        async with client.http.get(url) as reply:
            while b": keep-alive" not in await reply.content.readuntil(b"\n\n"):
                pass
        sim.release()
        await client.until(accepted["id"], "succeeded")
        assert client.app.bus.watchers == 0
