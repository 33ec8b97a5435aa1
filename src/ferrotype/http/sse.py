"""A generation's events as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

from ferrotype.db import journal
from ferrotype.domain.clock import rfc3339
from ferrotype.domain.event import Event
from ferrotype.domain.problems import NotFound
from ferrotype.domain.states import GENERATION, GenerationState
from ferrotype.events.base import Closed, Subscription
from ferrotype.http.context import Context


async def stream(
    context: Context, generation_id: str, base_url: str, after: int | None
) -> AsyncGenerator[bytes, None]:
    """The stream's bytes. `after` is the number of the last event that the client has seen.

    A snapshot comes first. It carries the number that the client may resume from, so that a stream which
    breaks right behind it misses nothing. Raises NotFound before the first byte.
    The stream ends with the terminal event, or without one when this process stops.
    """
    envelopes, account_id = context.envelopes, context.account_id
    with context.bus.subscribe(generation_id) as subscription:
        newest = await context.database.read(lambda tx: journal.last_seq(tx, generation_id))
        snapshot = await envelopes.generation(generation_id, account_id, base_url)
        seen = newest if after is None else min(after, newest)
        yield encode("snapshot", seen, {"type": "snapshot", "generation": snapshot})
        missed = await _journal(context, generation_id, seen)
        for event in missed:
            seen = event.seq or seen
            yield encode(event.type, seen, await _body(context, event, base_url))
        if GENERATION.is_terminal(GenerationState(snapshot["status"])) or any(e.terminal for e in missed):
            return
        async for item in _live(context, subscription, generation_id, seen):
            if item is None:
                yield b": keep-alive\n\n"
                continue
            seen = item.seq or seen
            yield encode(item.type, seen, await _body(context, item, base_url))
            if item.terminal:
                return


async def _live(
    context: Context, subscription: Subscription, generation_id: str, seen: int
) -> AsyncIterator[Event | None]:
    """Events as they happen, None for each silence; state events in order and each once."""
    while True:
        if subscription.lagged:
            subscription.lagged = False
            events: list[Event | None] = list(await _journal(context, generation_id, seen))
        else:
            try:
                async with asyncio.timeout(context.settings.keep_alive):
                    events = [await subscription.get()]
            except TimeoutError:
                events = [None]
            except Closed:
                return
        for event in events:
            if event is not None and event.seq is not None:
                if event.seq <= seen:
                    continue
                seen = event.seq
            yield event


async def _journal(context: Context, generation_id: str, seen: int) -> list[Event]:
    return await context.database.read(lambda tx: journal.after(tx, generation_id, seen))


async def _body(context: Context, event: Event, base_url: str) -> dict[str, Any]:
    """The event's data: what it tells, and the asset or the generation that it tells of."""
    body = {"type": event.type, "generation_id": event.generation_id, "at": rfc3339(event.at), **event.data}
    with suppress(NotFound):
        if "asset_id" in event.data:
            asset_id = event.data["asset_id"]
            body["asset"] = await context.envelopes.asset(asset_id, context.account_id, base_url)
        elif event.terminal and event.generation_id is not None:
            body["generation"] = await context.envelopes.generation(
                event.generation_id, context.account_id, base_url
            )
    return body


def encode(type: str, number: int, data: dict[str, Any]) -> bytes:
    """One event."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {number}\nevent: {type}\ndata: {text}\n\n".encode()
