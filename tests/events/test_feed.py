"""One reader's events: what it could not hold it is told from the journal, and that it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ferrotype.db.database import Transaction
from ferrotype.domain.event import Event
from ferrotype.events.memory import LIVE_MAILBOX, MAILBOX
from ferrotype.http.streams.envelope import Told
from ferrotype.http.streams.feed import Feed
from ferrotype.http.streams.scopes import Options, Scope
from ferrotype.sim.comfyui import ComfySim, Script
from tests.events.talk import ORDER, listening, preview, until
from tests.flows.harness import Client, running


async def record(client: Client, generation_id: str, count: int) -> None:
    """State events as stories write them, in transactions of their own."""

    def story(tx: Transaction) -> None:
        client.app.journal.record(tx, "stored", generation_id, store="test")

    await asyncio.gather(*(client.app.database.write(story) for _ in range(count)))


async def some(events: AsyncIterator[Told | None]) -> Told:
    """The next that is no keep-alive."""
    while True:
        told = await anext(events)
        if told is not None:
            return told


async def begun(client: Client, scope: Scope, after: int | None = None, **options: Any) -> Feed:
    return await Feed.begin(client.app.streams, scope, Options(**options), client.base, after)


async def test_a_reader_that_falls_behind_reads_the_journal_and_is_told(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url) as client,
    ):
        accepted = await client.order_async(**ORDER)
        await sim.held(1)
        scope = Scope("generation", accepted["id"])
        feed = await begun(client, scope)
        with client.app.bus.subscribe(scope.id, feed.wants) as mailbox:
            async with aclosing(feed.follow(mailbox)) as events:
                assert (await some(events)).type == "snapshot"
                first = feed.seen
                looking = asyncio.ensure_future(some(events))
                count = MAILBOX + 50
                await record(client, accepted["id"], 1)
                assert (await looking).type == "stored"
                await record(client, accepted["id"], count)  # nobody reads meanwhile
                sim.release()
                found: list[Told] = [told async for told in events if told is not None]
        lagged = [told for told in found if told.type == "lagged"]
        assert f'"dropped":0,"replayed":{count},"skipped":0' in lagged[0].text
        state = [told for told in found if told.seq is not None]
        assert [told.type for told in state].count("stored") >= count
        assert state[-1].type == "succeeded"
        numbers = [told.seq or 0 for told in state]
        assert numbers == sorted(set(numbers)), "each once and in order"
        assert numbers[0] > first
        assert client.app.telemetry.to_json()["counters"]["streams_lagged"] == len(lagged)


async def test_previews_that_are_dropped_are_counted(client: Client) -> None:
    scope = Scope("account", client.app.account_id)
    feed = await begun(client, scope)
    with client.app.bus.subscribe(scope.id, feed.wants) as mailbox:
        for index in range(LIVE_MAILBOX + 9):
            client.app.bus.publish(preview(client, index, 10))
        async with aclosing(feed.follow(mailbox)) as events:
            told = [await some(events) for _ in range(3)]
    assert [each.type for each in told] == ["snapshot", "lagged", "preview"]
    assert '"dropped":9,"replayed":0,"skipped":0' in told[1].text


async def test_too_much_to_catch_up_with_is_a_new_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_STREAM_REPLAY_EVENTS="20") as client:
        generation = (await client.order(**ORDER)).json
        await client.until(generation["id"], "enriched", "stored", count=2)
        scope = Scope("account", client.app.account_id)
        feed = await begun(client, scope)
        with client.app.bus.subscribe(scope.id, feed.wants) as mailbox:
            async with aclosing(feed.follow(mailbox)) as events:
                await anext(events)
                looking = asyncio.ensure_future(some(events))
                await record(client, generation["id"], 1)
                assert (await looking).type == "stored"
                await record(client, generation["id"], MAILBOX + 1)  # nobody reads meanwhile
                types = [await some(events) for _ in range(2)]
        assert [told.type for told in types] == ["lagged", "snapshot"]
        assert '"replayed":0,"skipped":21' in types[0].text
        newest = feed.seen

        # One that comes back after as many.
        async with listening(client, "/v1/events", **{"Last-Event-ID": "1"}) as stream:
            snapshot, lagged = await until(stream, "lagged")
        assert (snapshot.number, snapshot.type) == (newest, "snapshot")
        assert (lagged.number, lagged.data["skipped"]) == (newest, 21)


async def test_an_event_is_written_once_for_all_who_get_it(client: Client) -> None:
    scope = Scope("account", client.app.account_id)
    feeds = [await begun(client, scope) for _ in range(20)]

    async def outputs(feed: Feed) -> list[Told]:
        with client.app.bus.subscribe(scope.id, feed.wants) as mailbox:
            ready.release()
            found = []
            async with aclosing(feed.follow(mailbox)) as events:
                async for told in events:
                    if told is not None and told.seq is not None:
                        found.append(told)
                    if told is not None and told.type == "succeeded":
                        return found
        raise AssertionError

    ready = asyncio.Semaphore(0)
    readers = [asyncio.create_task(outputs(feed)) for feed in feeds]
    for _ in readers:
        await ready.acquire()
    before = client.app.streams.writer.written
    await client.order(**ORDER)
    found = await asyncio.gather(*readers)
    live = 2 * 20  # progress and previews, however many there are
    assert client.app.streams.writer.written - before <= len(found[0]) + live
    assert {tuple(id(told) for told in each if told.type == "output") for each in found} == {
        tuple(id(told) for told in found[0] if told.type == "output")
    }


async def test_a_snapshot_is_taken_once_while_nothing_happens(client: Client) -> None:
    scope = Scope("account", client.app.account_id)
    taken = await asyncio.gather(
        *(client.app.streams.snapshots.get(scope, scope.id, client.base) for _ in range(50))
    )
    assert all(each is taken[0] for each in taken)
    await client.order(**ORDER)
    after = await client.app.streams.snapshots.get(scope, scope.id, client.base)
    assert after.seq > taken[0].seq


def test_the_last_event_of_a_scope() -> None:
    def ended(kind: Any, type: str, generation_id: str | None, **data: Any) -> bool:
        from datetime import UTC, datetime

        at = datetime(2026, 1, 1, tzinfo=UTC)
        return Scope(kind, "x").ends_with(Event(type, generation_id, at, data, 1, "a", "b"))

    assert ended("generation", "failed", "g")
    assert not ended("generation", "failed", "g", asset_id="one of several")
    assert not ended("batch", "succeeded", "g")
    assert ended("batch", "succeeded", None)
    assert not ended("account", "succeeded", "g")
