"""The event bus of one process: bounded, ordered, closed at shutdown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from ferrotype.domain.event import Event
from ferrotype.events.base import Closed
from ferrotype.events.memory import Mailbox, MemoryEventBus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(type: str, seq: int | None = None, id: str = "g", **data: Any) -> Event:
    return Event(type, id, NOW, data, seq)


async def waiting(mailbox: Mailbox) -> list[Event]:
    """Everything in the mailbox, which is closed by that."""
    mailbox.close()
    return [item async for item in mailbox]


async def test_each_reader_has_every_event_of_its_generation_in_order() -> None:
    bus = MemoryEventBus()
    with bus.subscribe("g") as one, bus.subscribe("g") as two, bus.subscribe("h") as other:
        for seq, type in enumerate(("queued", "started", "succeeded"), 1):
            bus.publish(event(type, seq))
        for reader in (one, two):
            assert [item.seq for item in await waiting(reader)] == [1, 2, 3]
        assert await waiting(other) == []
        assert bus.watchers == 3
    assert bus.watchers == 0
    bus.publish(event("queued", 4))  # nobody listens


async def test_a_reader_sleeps_until_something_happens() -> None:
    bus = MemoryEventBus()
    with bus.subscribe("g") as reader:
        getting = asyncio.ensure_future(reader.get())
        await asyncio.sleep(0)
        assert not getting.done()
        bus.publish(event("queued", 1))
        assert (await getting).seq == 1


async def test_only_the_newest_live_event_of_a_kind_waits() -> None:
    mailbox = Mailbox()
    mailbox.put(event("started", 1))
    for step in range(5):
        mailbox.put(event("progress", progress=step / 4))
        mailbox.put(event("preview", index=step % 2, data_uri=str(step)))
    found = await waiting(mailbox)
    assert [(item.type, item.data.get("progress"), item.data.get("data_uri")) for item in found] == [
        ("started", None, None),
        ("preview", None, "3"),
        ("progress", 1.0, None),
        ("preview", None, "4"),
    ]
    assert not mailbox.lagged


async def test_live_events_make_room_before_state_events_are_lost() -> None:
    mailbox = Mailbox(limit=3)
    mailbox.put(event("progress", progress=0.1))
    for seq in (1, 2, 3):
        mailbox.put(event("output", seq))
    assert not mailbox.lagged
    mailbox.put(event("progress", progress=0.2))  # no room for what is not worth a state event
    assert not mailbox.lagged
    mailbox.put(event("output", 4))
    assert mailbox.lagged
    assert [item.seq for item in await waiting(mailbox)] == [2, 3, 4]


async def test_a_closed_bus_hands_out_what_waits_and_then_ends() -> None:
    bus = MemoryEventBus()
    with bus.subscribe("g") as reader, bus.subscribe("g") as asleep:
        assert await getting_nothing(asleep)
        getting = asyncio.ensure_future(asleep.get())
        await asyncio.sleep(0)
        bus.publish(event("queued", 1))
        bus.close()
        assert (await getting).seq == 1
        assert (await reader.get()).seq == 1
        for closed in (reader, asleep):
            with pytest.raises(Closed):
                await closed.get()
    with bus.subscribe("g") as late, pytest.raises(Closed):
        await late.get()


async def getting_nothing(mailbox: Mailbox) -> bool:
    getting = asyncio.ensure_future(mailbox.get())
    await asyncio.sleep(0)
    return getting.cancel()
