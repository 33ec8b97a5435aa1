"""Previews bounded in size and in number; the newest wins, and the last is not lost."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferrotype.domain.problems import Problem
from ferrotype.imaging.bounded import bounded
from ferrotype.imaging.inspect import inspect
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services.event_settings import EventSettings
from ferrotype.services.previews import Previews
from ferrotype.sim.comfyui import ComfySim, Script
from tests.events.talk import ORDER, listening, until
from tests.flows.harness import running
from tests.imaging.imaging_pictures import scene

LIMITS = ImagingSettings()
LARGE: bytes = scene(1600, 1200).pngsave_buffer()


class Shown:
    """What was shown, and a signal for each."""

    def __init__(self) -> None:
        self.all: list[tuple[str, bytes]] = []
        self._more = asyncio.Event()

    def __call__(self, content_type: str, data: bytes) -> None:
        self.all.append((content_type, data))
        self._more.set()

    async def have(self, count: int) -> None:
        while len(self.all) < count:
            self._more.clear()
            await self._more.wait()


@pytest.fixture
async def pool() -> AsyncIterator[ImagingPool]:
    pool = ImagingPool(LIMITS)
    yield pool
    await asyncio.to_thread(pool.close)


async def test_too_many_become_fewer_and_the_last_is_shown(pool: ImagingPool) -> None:
    previews, shown = Previews(pool, EventSettings(previews_per_second=50), LIMITS), Shown()
    for step in range(100):
        previews.offer("g", 0, b"%d" % step, "image/jpeg", shown)
    assert shown.all == [("image/jpeg", b"0")], "the first at once"
    await shown.have(2)
    assert shown.all[1:] == [("image/jpeg", b"99")], "then the newest"


async def test_each_picture_has_its_own_turn(pool: ImagingPool) -> None:
    previews, shown = Previews(pool, EventSettings(previews_per_second=0.001), LIMITS), Shown()
    for index in range(3):
        for step in range(3):
            previews.offer("g", index, b"%d%d" % (index, step), "image/jpeg", shown)
    previews.offer("h", 0, b"other", "image/jpeg", shown)
    assert [data for _, data in shown.all] == [b"00", b"10", b"20", b"other"]
    assert previews.waiting == 2
    previews.forget("g", 1)
    previews.forget("g")
    previews.forget("h")
    assert previews.waiting == 0


async def test_what_waits_for_a_finished_picture_is_not_shown(pool: ImagingPool) -> None:
    previews, shown = Previews(pool, EventSettings(previews_per_second=1000), LIMITS), Shown()
    previews.offer("g", 0, b"1", "image/jpeg", shown)
    previews.offer("g", 0, b"2", "image/jpeg", shown)
    previews.forget("g")
    previews.offer("h", 0, b"a", "image/jpeg", shown)
    previews.offer("h", 0, b"b", "image/jpeg", shown)
    await shown.have(3)
    assert [data for _, data in shown.all] == [b"1", b"a", b"b"]


async def test_a_large_one_is_made_smaller(pool: ImagingPool) -> None:
    previews = Previews(pool, EventSettings(previews_per_second=1000, preview_max_bytes=8192), LIMITS)
    shown = Shown()
    previews.offer("g", 0, LARGE, "image/png", shown)
    assert shown.all == [], "not in the event loop"
    previews.offer("g", 0, b"x" * 9000, "image/png", shown)  # no picture: never shown
    previews.offer("g", 0, LARGE, "image/png", shown)
    await shown.have(2)
    for content_type, data in shown.all:
        info = inspect(data, LIMITS)
        assert content_type == info.content_type == "image/webp"
        assert len(data) <= 8192
        assert abs(info.width / info.height - 4 / 3) < 0.02
    await previews.close()


async def test_what_is_no_picture_does_not_stop_the_others(pool: ImagingPool) -> None:
    previews = Previews(pool, EventSettings(previews_per_second=1000, preview_max_bytes=2048), LIMITS)
    shown = Shown()
    previews.offer("g", 0, b"x" * 9000, "image/png", shown)
    previews.offer("g", 0, LARGE, "image/png", shown)
    await shown.have(1)
    assert len(shown.all[0][1]) <= 2048


def test_bounded_tries_smaller_ones() -> None:
    sizes = [inspect(bounded(LARGE, limit, LIMITS) or b"", LIMITS).width for limit in (65_536, 8_192, 2_048)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 512
    assert bounded(LARGE, 20, LIMITS) is None
    with pytest.raises(Problem):
        bounded(b"no picture", 65_536, LIMITS)


async def test_previews_of_a_provider_are_bounded(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(preview="PNG", step_seconds=0.01)) as sim,
        running(
            tmp_path / "data",
            COMFYUI_URL=sim.url,
            FERROTYPE_PREVIEW_MAX_BYTES="2048",
            FERROTYPE_PREVIEWS_PER_SECOND="1000",
        ) as client,
        listening(client, "/v1/events") as events,
    ):
        await client.order_async(**ORDER)
        found = await until(events, "succeeded")
        shown = [event.data["data_uri"] for event in found if event.type == "preview"]
        assert shown
        for uri in shown:
            assert len(b64decode(uri.partition(",")[2])) <= 2048
        assert client.app.previews.waiting == 0
