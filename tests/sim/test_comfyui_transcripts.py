"""The simulator against every recording of the real server; `comfyui_replay` says how they are compared."""

from __future__ import annotations

import json
import re
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from comfyui_replay import RECORDINGS, Hook, Replay, load, upload

from ferrotype.sim.comfyui import ComfySim, Script

# Lines that cannot be replayed, each with its reason. Nothing else is left out.
LEFT_OUT: dict[str, dict[int, str]] = {
    "04": {
        111: "POST of a SaveVideo prompt: the simulator has no video encoder",
        126: "history of that prompt",
        128: "POST of a SaveAudio prompt: the simulator has no FLAC encoder",
        143: "history of that prompt",
    },
}
# `status` messages of the prompts that are left out (they name no prompt).
STATUSES_LEFT_OUT: dict[str, set[int]] = {"04": {112, 113, 124, 129, 130, 141}}

# Values of `status` messages that depend on how two threads of the real server raced: the worker took the
# first prompt only after the second POST, and so counted two; the simulated worker takes it at once.
RACES: dict[str, dict[int, int]] = {"19": {27: 1}}

# Recordings 02 to 15 are one run of one server: the number of the first prompt in each.
FIRST_NUMBER = {
    "02": 1,
    "03": 3,
    "04": 4,
    "05": 14,
    "06": 22,
    "07": 36,
    "08": 64,
    "09": 72,
    "10": 78,
    "11": 82,
    "12": 86,
    "13": 87,
    "14": 95,
    "15": 105,
}


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[ComfySim]:
    """As the recorded server was: no models, and prompts that wait at every step for the replay."""
    script = Script(hold=0, checkpoints=[], loras=[], vaes=[])
    simulator = ComfySim(script, base_dir=tmp_path / "srv" / "comfyui-data")
    async with simulator:
        yield simulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


# Facts that the recorder noted instead of writing the request down


async def same_shape(replay: Replay, line: dict[str, Any]) -> None:
    """/system_stats tells of the machine: the same keys and types, other values."""

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        if isinstance(value, list):
            return "list of text" if all(isinstance(item, str) for item in value) else [shape(value[0])]
        return type(value).__name__

    async with replay.session.get(replay.sim.url + line["request"]["path"]) as reply:
        assert reply.status == line["response"]["status"]
        assert reply.headers["Content-Type"] == line["response"]["headers"]["Content-Type"]
        stats = await reply.json()
        assert shape(stats) == shape(line["response"]["json"])
        assert stats["system"]["comfyui_version"] == line["response"]["json"]["system"]["comfyui_version"]


async def object_info(replay: Replay, line: dict[str, Any]) -> None:
    """Its body was not recorded; every node class that was is in the simulated one, unless it is left out."""
    async with replay.session.get(replay.sim.url + "/object_info") as reply:
        assert reply.status == line["status"]
        assert reply.headers["Content-Type"] == line["headers"]["Content-Type"]
        nodes = await reply.json()
    recorded = set()
    for path in RECORDINGS.glob("*.jsonl"):
        recorded |= set(re.findall(r'"class_type": "(\w+)"', path.read_text(encoding="utf-8")))
    not_simulated = {"NoSuchNode", "CreateVideo", "SaveVideo", "EmptyAudio", "SaveAudio"}
    assert recorded - set(nodes) == not_simulated
    for name, info in nodes.items():
        assert info["name"] == name
        assert set(info["input_order"]) == set(info["input"])
        assert len(info["output"]) == len(info["output_name"]) == len(info["output_is_list"])


async def files_with_prefix(replay: Replay, line: dict[str, Any]) -> None:
    assert sorted(path.name for path in replay.sim.folders.output.glob("cached_*")) == line["files"]


async def delete_cached_file(replay: Replay, line: dict[str, Any]) -> None:
    (replay.sim.folders.output / "cached_00001_.png").unlink()


async def png_text(replay: Replay, line: dict[str, Any]) -> None:
    async with replay.session.get(replay.sim.url + "/view?filename=pid_00009_.png") as reply:
        data = await reply.read()
    assert text_chunks(data) == line["text"]


def text_chunks(png: bytes) -> dict[str, str]:
    found, position = {}, 8
    while position < len(png):
        (length,), kind = struct.unpack(">I", png[position : position + 4]), png[position + 4 : position + 8]
        if kind == b"tEXt":
            key, _, value = png[position + 8 : position + 8 + length].partition(b"\0")
            found[key.decode()] = value.decode("latin-1")
        position += 12 + length
    return found


async def history_order(replay: Replay, line: dict[str, Any]) -> None:
    """Which of the four prompts a listing gives, in order."""
    await replay.sim.idle()
    path = line["note"].removeprefix("GET ") if line["note"].startswith("GET ") else "/history"
    submitted = [prompt_id for prompt_id in replay.classes if prompt_id in replay.to_actual]
    order = {replay.to_actual[prompt_id]: index for index, prompt_id in enumerate(submitted)}
    async with replay.session.get(replay.sim.url + path) as reply:
        assert reply.status == line.get("status", 200)
        found = [order[prompt_id] for prompt_id in await reply.json()]
    assert found == line.get("submitted_order_of_returned_entries", line.get("entries"))


async def lose_five_steps(replay: Replay, line: dict[str, Any]) -> None:
    """Nobody listened while the real prompt went from step 5 to step 10."""
    replay.sim.release(upto=10)
    await replay.sim.held(step=11)
    await replay._open(line)


async def open_when_idle(replay: Replay, line: dict[str, Any]) -> None:
    await replay.sim.idle()
    await replay._open(line)


async def die(replay: Replay, line: dict[str, Any]) -> None:
    """Whatever the signal: connections break, the port is closed."""
    await replay.sim.close_door()


async def no_server(replay: Replay, line: dict[str, Any]) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await replay.session.get(replay.sim.url + "/prompt")


async def come_back(replay: Replay, line: dict[str, Any]) -> None:
    replay.sim.forget()
    await replay.sim.open_door()


async def nothing(replay: Replay, line: dict[str, Any]) -> None:
    """How long the real server took to stop or start."""


HOOKS: dict[str, dict[int, Hook]] = {
    "01": {2: same_shape, 17: same_shape, 38: same_shape, 19: object_info},
    "05": {34: files_with_prefix, 47: delete_cached_file},
    "06": {192: png_text},
    "11": dict.fromkeys((9, 10, 11, 12, 13, 14, 15, 16, 17, 23), history_order),
    "15": {25: lose_five_steps, 59: open_when_idle},
    "19": {
        **dict.fromkeys((44, 117, 190), die),
        **dict.fromkeys((45, 119, 191), nothing),
        **dict.fromkeys((47, 120, 193), no_server),
        **dict.fromkeys((48, 121, 194), come_back),
    },
}


def recorder_files(sim: ComfySim) -> None:
    """What the recorder put into the output folder by hand for 12_view."""
    output = sim.folders.output
    (output / "x.html").write_text("<script>1</script>")
    (output / "x.svg").write_text("<svg/>")
    (output / "a b.png").write_bytes(upload("a b.png", 78))
    (output / "broken.png").write_text("no picture")
    (output / "empty.png").write_bytes(b"")


def test_every_recording_is_replayed() -> None:
    names = {path.name[:2] for path in RECORDINGS.glob("*.jsonl")}
    assert names == {"01", *FIRST_NUMBER, "16", "17", "19"}


@pytest.mark.parametrize("name", ["01", *FIRST_NUMBER, "19"])
async def test_replay(name: str, sim: ComfySim, session: aiohttp.ClientSession, tmp_path: Path) -> None:
    lines = [line for line in load(name) if line["seq"] not in STATUSES_LEFT_OUT.get(name, ())]
    for line in lines:
        if line["seq"] in RACES.get(name, {}):
            line["json"]["data"]["status"]["exec_info"]["queue_remaining"] = RACES[name][line["seq"]]
    sim.next_number = FIRST_NUMBER.get(name, 0)
    if name == "12":
        recorder_files(sim)
    replay = Replay(sim, session, tmp_path, hooks=HOOKS.get(name, {}), left_out=LEFT_OUT.get(name, {}))
    await replay.run(lines)
    facts = sum(line["kind"] == "http" for line in lines)
    assert replay.compared >= facts - len(LEFT_OUT.get(name, {})) - len(HOOKS.get(name, {}))
    assert sim.working, "the worker survived"


def wrong_status(lines: list[dict[str, Any]]) -> None:
    find(lines, kind="http")["response"]["status"] = 201


def missing_field(lines: list[dict[str, Any]]) -> None:
    find(lines, kind="ws_recv", type="executed")["json"]["data"]["more"] = 1


def other_type(lines: list[dict[str, Any]]) -> None:
    find(lines, kind="ws_recv", type="progress_state")["json"]["data"]["nodes"]["1"]["value"] = 0


def missing_header(lines: list[dict[str, Any]]) -> None:
    find(lines, kind="http")["response"]["headers"]["X-More"] = "1"


def swapped(lines: list[dict[str, Any]]) -> None:
    first = lines.index(find(lines, kind="ws_recv", type="execution_success"))
    lines[first - 1]["json"], lines[first]["json"] = lines[first]["json"], lines[first - 1]["json"]


def unrecorded_message(lines: list[dict[str, Any]]) -> None:
    last = [line for line in lines if line["kind"] == "ws_recv" and line["json"]["type"] == "executing"][-1]
    lines.remove(last)


def one_status_less(lines: list[dict[str, Any]]) -> None:
    lines.remove(
        [line for line in lines if line["kind"] == "ws_recv" and line["json"]["type"] == "status"][-1]
    )


def other_number(lines: list[dict[str, Any]]) -> None:
    find(lines, kind="http")["response"]["json"]["number"] += 1


def other_size(lines: list[dict[str, Any]]) -> None:
    picture = next(line for line in lines if "first32_hex" in line.get("response", {}))["response"]
    picture["first32_hex"] = picture["first32_hex"].replace("000000c8", "000000c9", 1)


def find(lines: list[dict[str, Any]], kind: str, type: str | None = None) -> dict[str, Any]:
    return next(
        line for line in lines if line["kind"] == kind and (type is None or line["json"]["type"] == type)
    )


@pytest.mark.parametrize(
    "change",
    [
        wrong_status,
        missing_field,
        other_type,
        missing_header,
        swapped,
        unrecorded_message,
        one_status_less,
        other_number,
        other_size,
    ],
)
async def test_a_wrong_recording_fails(
    change: Callable[[list[dict[str, Any]]], None],
    sim: ComfySim,
    session: aiohttp.ClientSession,
    tmp_path: Path,
) -> None:
    """The comparison itself: one small difference in 03_prompt_ok is found."""
    lines = load("03")
    change(lines)
    sim.next_number = FIRST_NUMBER["03"]
    with pytest.raises(AssertionError):
        await Replay(sim, session, tmp_path, hooks={}, left_out={}).run(lines)


class TestHistoryRace:
    """16: the entry may be missing at `executed` and `execution_success`, never at `executing` null."""

    @pytest.mark.parametrize("late", [False, True])
    async def test_samples(self, late: bool, sim: ComfySim, session: aiohttp.ClientSession) -> None:
        sim.script.history_late = 2 if late else 0  # at `executed` and at `execution_success`
        recorded = [line for line in load("16") if line["kind"] == "sample"]
        known = {json.dumps([line["executed"], line["execution_success"]]) for line in recorded}
        assert all(line["executing_null"] == {"in_history": True, "in_running": False} for line in recorded)
        ws = await session.ws_connect(sim.url + "/ws?clientId=race")
        for run in range(5):
            seen = await self._sample(sim, session, ws, run)
            assert seen["executing_null"] == {"in_history": True, "in_running": False}
            if late:
                missing = {"in_history": False, "in_running": True}
                assert seen["executed"] == seen["execution_success"] == missing
                assert json.dumps([missing, missing]) in known
        await ws.close()

    async def _sample(
        self, sim: ComfySim, session: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse, run: int
    ) -> dict[str, Any]:
        prompt = {
            "1": {
                "class_type": "EmptyImage",
                "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": run},
            },
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "race"}},
        }
        order = {"prompt": prompt, "client_id": "race"}
        async with session.post(sim.url + "/prompt", json=order) as reply:
            prompt_id = (await reply.json())["prompt_id"]
        seen: dict[str, Any] = {}
        while "executing_null" not in seen:
            message = json.loads((await ws.receive(timeout=20)).data)
            kind = message["type"]
            if kind == "executing" and message["data"]["node"] is None:
                kind = "executing_null"
            if kind in ("executed", "execution_success", "executing_null"):
                # The queue first: the entry moves to the history, never back.
                async with session.get(sim.url + "/queue") as reply:
                    running = [item[1] for item in (await reply.json())["queue_running"]]
                async with session.get(f"{sim.url}/history/{prompt_id}") as reply:
                    in_history = prompt_id in await reply.json()
                seen[kind] = {"in_history": in_history, "in_running": prompt_id in running}
        return seen


class TestFilenames:
    """17: the recorder noted prefixes and outputs instead of the requests."""

    async def test_replay(self, sim: ComfySim, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        today = time.strftime("%Y-%m-%d")
        text = json.dumps(load("17")).replace("2026-11-21", today)
        lines: list[dict[str, Any]] = json.loads(text)
        replay = Replay(sim, session, tmp_path, hooks={}, left_out={})
        client_id = lines[1]["url"].split("clientId=")[1]
        folder = sim.folders.output / "fn"
        await replay._line(lines[1])
        block: list[dict[str, Any]] = []
        colour = 0
        for line in lines[2:-1]:
            if line["kind"] == "ws_recv":
                block.append(line)
            elif "outputs" in line:
                self._before(line["note"], folder)
                colour += 1
                await self._prompt(replay, line, block, client_id, colour)
                block = []
            else:
                assert sorted(path.name for path in folder.iterdir()) == line["files"]
        await replay._line(lines[-1])

    def _before(self, note: str, folder: Path) -> None:
        """What the recorder did by hand before that prompt."""
        if note.startswith("after deleting 00002"):
            (folder / "img_00002_.png").unlink()
        elif note.startswith("after deleting all"):
            for path in folder.iterdir():
                path.unlink()
        elif found := re.match(r"(?:foreign file )?(img_\S+\.png) .*exists$|(img_\S+\.png) exists$", note):
            (folder / (found[1] or found[2])).write_bytes(b"")

    async def _prompt(
        self, replay: Replay, note: dict[str, Any], block: list[dict[str, Any]], client_id: str, colour: int
    ) -> None:
        size = {"width": 24, "height": 18, "batch_size": note["batch"], "color": colour}
        prompt = {
            "1": {"class_type": "EmptyImage", "inputs": size},
            "2": {
                "class_type": "SaveImage",
                "inputs": {"images": ["1", 0], "filename_prefix": note["filename_prefix"]},
            },
        }
        order = {"prompt": prompt, "client_id": client_id}
        async with replay.session.post(replay.sim.url + "/prompt", json=order) as reply:
            prompt_id = (await reply.json())["prompt_id"]
        recorded = next(
            line["json"]["data"]["prompt_id"] for line in block if line["json"]["type"] == "execution_start"
        )
        replay.to_actual[recorded] = prompt_id
        for line in block:
            await replay._line(line)
        await replay.settle()
        await replay.sim.journal.wait_mark("finished", prompt_id)
        entry = replay.sim.queue.history[prompt_id]
        assert entry["outputs"] == note["outputs"]
        assert entry["status"]["status_str"] == note["status"]
