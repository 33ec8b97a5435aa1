"""The event bus of one process: bounded, ordered, closed at shutdown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain.event import Event
from ferrotype.events.base import Closed
from ferrotype.events.memory import Mailbox, MemoryEventBus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(type: str, seq: int | None = None, id: str = "g", **data: Any) -> Event:
    return Event(type, id, NOW, data, seq)


def taken(mailbox: Mailbox) -> list[Event]:
    """Everything in the mailbox."""
    return list(iter(mailbox.take, None))


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


async def test_an_event_is_for_its_generation_its_batch_and_its_account() -> None:
    bus = MemoryEventBus()
    told = Event("output", "g", NOW, {}, 1, account_id="a", batch_id="b")
    assert not bus.is_watched(told)
    with bus.subscribe("g") as one, bus.subscribe("b") as two, bus.subscribe("a") as three:
        assert bus.is_watched(told)
        bus.publish(told)
        bus.publish(Event("succeeded", None, NOW, {}, 2, account_id="a", batch_id="b"))
        assert [[item.seq for item in taken(each)] for each in (one, two, three)] == [[1], [1, 2], [1, 2]]


async def test_every_state_event_begins_a_turn() -> None:
    bus = MemoryEventBus()
    bus.publish(event("progress", progress=0.5))
    assert bus.turn == 0
    bus.publish(event("started", 1))
    assert bus.turn == 1


async def test_a_reader_sleeps_until_something_happens() -> None:
    bus = MemoryEventBus()
    with bus.subscribe("g") as reader:
        getting = asyncio.ensure_future(reader.get())
        await asyncio.sleep(0)
        assert not getting.done()
        bus.publish(event("queued", 1))
        assert (await getting).seq == 1


async def test_a_nudge_wakes_once() -> None:
    mailbox = Mailbox()
    sleeping = asyncio.ensure_future(mailbox.wait())
    await asyncio.sleep(0)
    assert not sleeping.done()
    mailbox.nudge()
    await sleeping
    assert mailbox.take() is None
    again = asyncio.ensure_future(mailbox.wait())
    await asyncio.sleep(0)
    assert again.done() is False
    again.cancel()


async def test_only_the_newest_live_event_of_a_kind_waits() -> None:
    mailbox = Mailbox()
    mailbox.put(event("started", 1))
    for step in range(5):
        mailbox.put(event("progress", progress=step / 4))
        mailbox.put(event("preview", index=step % 2, data_uri=str(step)))
    mailbox.put(event("progress", id="other", progress=0.1))
    found = taken(mailbox)
    assert [(item.type, item.data.get("progress"), item.data.get("data_uri")) for item in found] == [
        ("started", None, None),
        ("preview", None, "3"),
        ("progress", 1.0, None),
        ("preview", None, "4"),
        ("progress", 0.1, None),
    ]
    assert mailbox.losses() == (0, 0)


async def test_what_is_not_wanted_takes_no_room() -> None:
    mailbox = Mailbox(limit=2, wants=lambda item: item.type == "output")
    for seq in range(1, 9):
        mailbox.put(event("stored", seq))
    mailbox.put(event("output", 9))
    assert [item.seq for item in taken(mailbox)] == [9]
    assert mailbox.losses() == (0, 0)


async def test_losses_are_counted_and_told_once() -> None:
    mailbox = Mailbox(limit=3, live_limit=2)
    for seq in range(1, 6):
        mailbox.put(event("output", seq))
    for index in range(5):
        mailbox.put(event("preview", index=index))
    assert mailbox.losses() == (2, 3)
    assert mailbox.losses() == (0, 0)
    assert [item.seq or item.data["index"] for item in taken(mailbox)] == [3, 4, 5, 3, 4]


@given(
    st.lists(
        st.one_of(
            st.just("state"), st.just("take"), st.tuples(st.sampled_from(["g", "h"]), st.integers(0, 3))
        ),
        max_size=60,
    )
)
async def test_a_mailbox_holds_the_newest_in_order_and_counts_the_rest(steps: list[Any]) -> None:
    """Against a list that is searched and sorted."""
    mailbox, model, seq, missed, dropped = Mailbox(limit=4, live_limit=3), list[Event](), 0, 0, 0
    for step in steps:
        if step == "take":
            assert mailbox.take() == (model.pop(0) if model else None)
            continue
        if step == "state":
            seq += 1
            new = event("output", seq)
            older = [item for item in model if item.seq is not None]
            if len(older) == 4:
                model.remove(older[0])
                missed += 1
        else:
            new = event("preview", id=step[0], index=step[1])
            same = [item for item in model if item == new]
            older = [item for item in model if item.seq is None]
            if same:
                model.remove(same[0])
            elif len(older) == 3:
                model.remove(older[0])
                dropped += 1
        model.append(new)
        mailbox.put(new)
    assert taken(mailbox) == model
    assert mailbox.losses() == (missed, dropped)


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
