"""The simulator answers as the recorded Cog server did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from cog_replay import RECORDINGS, Hook, Recorded, Replay, Sink, load

from ferrotype.sim.cog import CogScript, CogSim

NAMES = ["01", "02", "03", "04", "05", "06", "07", "08"]


async def replayed(name: str, lines: list[dict[str, Any]]) -> Replay:
    painter = Recorded()
    sim = CogSim(CogScript(schema=name == "08"), painter=painter)
    async with sim, Sink(lines) as sink, aiohttp.ClientSession() as session:
        if name == "05":
            sim.script.upload_url = f"{sink.url}/upload/"
        replay = Replay(sim, sink, session, painter, HOOKS.get(name, {}))
        await replay.run(lines)
        return replay


# What the recorder did beside its requests


async def starting(replay: Replay, line: dict[str, Any]) -> None:
    """Setup is under way until the recorder sees it ready."""
    replay.sim.script.health = "STARTING"
    await replay._http(line, [])


async def ready(replay: Replay, line: dict[str, Any]) -> None:
    replay.sim.script.health = "READY"
    await replay._http(line, [])


async def restarted(replay: Replay, line: dict[str, Any]) -> None:
    """The server was stopped, and a fresh one is there for the next line."""
    replay.sim.forget()
    replay.sim.script.health = "READY"


async def reopened(replay: Replay, line: dict[str, Any]) -> None:
    """It ended by itself after POST /shutdown."""
    with pytest.raises(aiohttp.ClientConnectorError):
        await replay.session.get(replay.sim.url + "/health-check")
    await replay.sim.open_door()


async def with_location(replay: Replay, line: dict[str, Any]) -> None:
    replay.sim.script.upload_url = f"{replay.sink.url}/uploadloc/"


async def upload_down(replay: Replay, line: dict[str, Any]) -> None:
    replay.sim.script.upload_url = "http://127.0.0.1:9/upload/"


async def no_upload(replay: Replay, line: dict[str, Any]) -> None:
    replay.sim.script.upload_url = None


async def one_file(replay: Replay, line: dict[str, Any]) -> None:
    replay.painter.kind = replay.sim.script.outputs = "one"


async def words(replay: Replay, line: dict[str, Any]) -> None:
    replay.painter.kind, replay.sim.script.outputs = "words", "stream"


async def frames(replay: Replay, line: dict[str, Any]) -> None:
    replay.painter.kind = "frames"


async def gives_up(replay: Replay, line: dict[str, Any]) -> None:
    """A synchronous request whose caller goes away: its prediction is stopped."""
    order = {"id": "gone", "input": {"prompt": "a cat", "seconds": 20}}
    replay.works.let("gone", 7)
    headers = {"Content-Type": "application/json"}
    before = replay.works.created
    asked = replay.begin({"method": "POST", "path": "/predictions", "json": order, "headers": headers})
    await replay.works.accepted(before + 1)
    prediction = replay.sim.predictions["gone"]
    asked.cancel()
    await prediction.done.wait()
    assert prediction.status == "canceled"


async def from_a_second_connection(replay: Replay, line: dict[str, Any]) -> None:
    """The synchronous request of line 28 is under way when line 27 cancels it."""
    (request,) = [other["request"] for other in load("04") if other["seq"] == 28]
    before = replay.works.created
    replay.works.let("can-sync", 0)
    replay.begun["can-sync"] = replay.begin(request)
    await replay.works.accepted(before + 1)


async def canceled_there(replay: Replay, line: dict[str, Any]) -> None:
    reply, body = await replay.begin(line["request"])
    replay._compare(line, reply, body)


async def dies(replay: Replay, line: dict[str, Any]) -> None:
    (crashed,) = replay.sim.predictions.values()
    replay.works.let(crashed.work.id, 5)
    while crashed.work.step < 5:
        await crashed.work.change()
    replay.sim.crash()


async def fails_to_set_up(replay: Replay, line: dict[str, Any]) -> None:
    replay.sim.forget()
    replay.sim.script.health = "SETUP_FAILED"


HOOKS: dict[str, dict[int, Hook]] = {
    "01": {2: starting, 4: ready},
    "04": {22: gives_up, 26: from_a_second_connection, 27: canceled_there},
    "05": {
        **dict.fromkeys((14, 18, 21, 25), restarted),
        15: with_location,
        19: upload_down,
        22: no_upload,
        26: one_file,
    },
    "06": {1: words, 11: frames},
    "07": {
        3: reopened,
        **dict.fromkeys((4, 7, 9), restarted),
        12: dies,
        16: fails_to_set_up,
        19: restarted,
    },
}


def test_every_recording_is_replayed() -> None:
    assert sorted(path.name[:2] for path in RECORDINGS.glob("*.jsonl")) == NAMES


@pytest.mark.parametrize("name", NAMES)
async def test_replay(name: str) -> None:
    lines = load(name)
    replay = await replayed(name, lines)
    facts = sum(line["kind"] in ("http", "sink_recv") for line in lines)
    asked_by_a_hook = 1 if name == "04" else 0
    assert replay.compared == facts - asked_by_a_hook


# The comparison itself: one small difference is found


def first(lines: list[dict[str, Any]], kind: str, **json: Any) -> dict[str, Any]:
    return next(
        line for line in lines if line["kind"] == kind and json.items() <= line.get("json", {}).items()
    )


def wrong_status(lines: list[dict[str, Any]]) -> None:
    first(lines, "http")["response"]["status"] = 200


def wrong_header(lines: list[dict[str, Any]]) -> None:
    first(lines, "http")["response"]["headers"]["Content-Type"] = "application/json; charset=utf-8"


def another_header(lines: list[dict[str, Any]]) -> None:
    first(lines, "http")["response"]["headers"]["X-More"] = "1"


def another_field(lines: list[dict[str, Any]]) -> None:
    first(lines, "http")["response"]["json"]["more"] = None


def other_log(lines: list[dict[str, Any]]) -> None:
    first(lines, "sink_recv", status="succeeded")["json"]["logs"] += "step 9.9\n"


def other_picture(lines: list[dict[str, Any]]) -> None:
    state = first(lines, "sink_recv", status="succeeded")["json"]
    state["output"] = ["data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkp"]


def one_webhook_less(lines: list[dict[str, Any]]) -> None:
    lines.remove(first(lines, "sink_recv", status="succeeded"))


@pytest.mark.parametrize(
    "change",
    [
        wrong_status,
        wrong_header,
        another_header,
        another_field,
        other_log,
        other_picture,
        one_webhook_less,
    ],
)
async def test_a_wrong_recording_fails(change: Callable[[list[dict[str, Any]]], None]) -> None:
    lines = load("03")[:8]
    await replayed("03", load("03")[:8])
    change(lines)
    with pytest.raises(AssertionError):
        await replayed("03", lines)
