"""The websocket side, fed with what a real server sent (tests/transcripts/comfyui)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.providers.comfyui.demux import Demux
from ferrotype.providers.comfyui.frames import HELLO, Message, Picture, parse_binary, parse_text
from ferrotype.providers.comfyui.progress import Progress
from ferrotype.providers.comfyui.run import Run
from ferrotype.providers.workflows.graph import picture_size, weights

FOLDER = Path(__file__).parent.parent / "transcripts" / "comfyui"
JPEG = b"\xff\xd8\xff\xe0rest of a jpeg"
PNG = b"\x89PNG\r\n\x1a\nrest of a png"
Record = dict[str, Any]


def records(name: str) -> list[Record]:
    (path,) = FOLDER.glob(f"{name}_*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def frame(record: Record) -> bytes:
    """The binary frame again: the recording keeps its header, its start and its length."""
    head = struct.pack(">I", record["event_type"])
    if record["event_type"] == 1:
        head += struct.pack(">I", record["image_type"])
    elif record["event_type"] == 3:
        node = record["node_id"].encode()
        return head + struct.pack(">I", len(node)) + node + record["text"].encode()
    else:
        facts = json.dumps(record["metadata"]).encode()
        assert len(facts) == record["metadata_len"]
        head += struct.pack(">I", len(facts)) + facts
    return (head + bytes.fromhex(record["payload_magic_hex"])).ljust(record["len"], b"\0")


class Tape:
    """Plays a recording into a demux, watching each prompt as it is posted."""

    def __init__(self, name: str, max_preview_bytes: int = 1 << 20) -> None:
        self.records = records(name)
        self.max_preview_bytes = max_preview_bytes
        self.runs: dict[str, Run] = {}
        self.fractions: dict[str, list[float]] = {}
        self.previews: dict[str, list[Picture]] = {}

    def play(self, sock: str | None = None) -> Tape:
        socks = {record["sock"] for record in self.records if record["kind"] == "ws_recv"}
        for name in [sock] if sock is not None else sorted(socks):
            self._play(name)
        return self

    def _play(self, sock: str) -> None:
        demux = Demux(self.max_preview_bytes)
        # A reply is recorded when it is complete: the messages of a prompt may stand before it.
        posts = [r for r in self.records if r["kind"] == "http" and r["request"]["path"] == "/prompt"]
        for record in posts:
            body, reply = record["request"].get("json"), record["response"].get("json") or {}
            if isinstance(body, dict) and "prompt_id" in reply and reply["prompt_id"] not in self.runs:
                run = Run(reply["prompt_id"], body["prompt"])
                self.runs[run.prompt_id] = run
        for run in self.runs.values():
            demux.add(run)
        for record in self.records:
            if record["kind"] != "ws_recv" or record["sock"] != sock:
                continue
            if record["opcode"] == "text":
                demux.text(json.dumps(record["json"]))
            else:
                demux.binary(frame(record))
            for run in self.runs.values():
                self.fractions.setdefault(run.prompt_id, []).append(run.progress.fraction)
                if run.preview is not None:
                    self.previews.setdefault(run.prompt_id, []).append(run.preview)
                    run.preview = None


ALL = [
    "02", "03", "04", "05", "06", "07", "08", "09", "10", "12", "13", "14", "15", "19",
]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_every_recorded_message_is_understood_and_progress_never_falls(name: str) -> None:
    tape = Tape(name).play()
    assert tape.runs
    for values in tape.fractions.values():
        assert values == sorted(values)
        assert 0 <= values[0] <= values[-1] <= 1


@pytest.mark.parametrize("name", ["03", "04", "05", "12", "13"])
def test_a_prompt_that_ended_well_is_over_and_complete(name: str) -> None:
    runs = Tape(name).play("a").runs.values()
    ended = [run for run in runs if run.ending is not None and run.ending.type == "execution_success"]
    assert ended
    for run in ended:
        assert run.over
        assert run.progress.fraction == 1
    assert all(run.over for run in runs)


def test_a_foreign_socket_hears_nothing_of_the_prompt() -> None:
    tape = Tape("03").play("other")
    (run,) = tape.runs.values()
    assert (run.started, run.over, run.signs) == (False, False, 0)


def test_cached_nodes_count_as_done() -> None:
    tape = Tape("05").play()
    first = next(iter(tape.runs))
    second = list(tape.runs)[1]
    assert sorted({round(value, 2) for value in tape.fractions[first]}) == [0, 0.33, 0.67, 1]
    assert set(tape.fractions[second]) <= {0.0, 1.0}


def test_how_each_prompt_ended_is_kept() -> None:
    interrupted = Tape("09").play().runs.values()
    assert [run.ending.type for run in interrupted if run.ending is not None] == [
        "execution_interrupted",
        "execution_interrupted",
        "execution_success",
        "execution_success",
        "execution_interrupted",
        "execution_success",
    ]
    failed = next(iter(Tape("10").play().runs.values()))
    assert failed.ending is not None
    assert failed.ending.data["exception_message"] == "boom: CUDA out of memory\n"


def test_previews_of_both_kinds_reach_their_prompt() -> None:
    plain = Tape("14").play("plain")
    told = [[picture.content_type for picture in found] for found in plain.previews.values()]
    assert told == [["image/jpeg"] * 3, ["image/png"] * 3]
    meta = Tape("14").play("meta")
    told = [[picture.content_type for picture in found] for found in meta.previews.values()]
    assert told == [["image/jpeg"] * 3, ["image/png"] * 3]


def test_a_preview_beyond_the_bound_is_dropped() -> None:
    tape = Tape("14", max_preview_bytes=30_000).play("plain")
    assert [found[0].content_type for found in tape.previews.values()] == ["image/jpeg"]


@pytest.mark.parametrize("sock", ["plain", "meta"])
def test_pictures_of_a_websocket_saver_are_results_and_no_previews(sock: str) -> None:
    tape = Tape("14").play(sock)
    (run,) = [run for run in tape.runs.values() if run.pictures]
    assert [(picture.node, picture.content_type) for picture in run.pictures] == [
        ("save_ws", "image/png")
    ] * 2
    assert (run.expected, run.received) == (2, 2)
    assert run.prompt_id not in tape.previews


def test_a_node_that_only_sends_text_is_alive() -> None:
    run = Tape("14").play("t").runs["bb6ffb99-d6a1-4b40-971e-c626bfab49db"]
    assert run.over
    assert not run.pictures


def test_what_a_prompt_without_client_broadcasts_is_not_taken_for_ours() -> None:
    demux = Demux(1 << 20)
    ours = Run("ours", {"2": {"class_type": "ProbeSteps", "inputs": {}}})
    demux.add(ours)
    for record in records("06"):
        if record["kind"] == "ws_recv" and record["seq"] > 210:
            if record["opcode"] == "text":
                demux.text(json.dumps(record["json"]))
            else:
                demux.binary(frame(record))
    assert (ours.started, ours.preview, ours.signs) == (False, None, 0)


def test_a_reopened_socket_goes_on_where_it_was() -> None:
    tape = Tape("15")
    first = Tape("15").play("first").runs["8efdf910-c329-464c-a243-8c6db20dbf58"]
    assert first.started
    assert not first.over
    second = tape.play("second").runs["8efdf910-c329-464c-a243-8c6db20dbf58"]
    assert second.over
    assert second.progress.fraction == 1


def test_two_clients_each_hear_their_own_prompts() -> None:
    heard = {
        sock: {run.prompt_id for run in Tape("15").play(sock).runs.values() if run.over}
        for sock in ("x", "y")
    }
    assert len(heard["x"]) == 4
    assert len(heard["y"]) == 3
    assert not heard["x"] & heard["y"]


def test_a_position_falls_as_the_queue_gets_shorter() -> None:
    run = Run("a", {})
    run.queue_remaining(4)
    run.position = 3
    run.queue_remaining(5)  # somebody joined behind
    assert run.position == 3
    run.queue_remaining(4)
    run.queue_remaining(3)
    assert run.position == 1
    run.queue_remaining(1)
    assert run.position == 1
    assert not run.vanished
    run.queue_remaining(0)
    assert run.vanished


def message(kind: str, **data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


def watched(*prompts: str) -> tuple[Demux, list[Run]]:
    demux = Demux(1 << 20)
    runs = [Run(prompt, {"1": {"class_type": "KSampler", "inputs": {"steps": 4}}}) for prompt in prompts]
    for run in runs:
        demux.add(run)
    return demux, runs


def test_a_picture_without_a_prompt_id_belongs_to_the_prompt_that_executes() -> None:
    demux, (one, two) = watched("one", "two")
    legacy = struct.pack(">II", 1, 1) + JPEG
    demux.binary(legacy)
    assert one.preview is two.preview is None
    demux.text(message("execution_start", prompt_id="two"))
    demux.binary(legacy)
    assert (one.preview, two.preview) == (None, Picture(JPEG, "image/jpeg"))
    two.preview = None
    demux.text(message("executing", node=None, prompt_id="two"))
    demux.binary(legacy)
    demux.text(message("progress", node="1", value=1, max=4, prompt_id="foreign"))
    demux.binary(legacy)
    assert one.preview is two.preview is None


def test_a_slow_watcher_keeps_the_newest_preview_only_and_every_result() -> None:
    demux, (run,) = watched("one")
    run.graph = {"ws": {"class_type": "SaveImageWebsocket", "inputs": {}}}
    for number in range(1_000):
        facts = json.dumps({"prompt_id": "one", "node_id": "1"}).encode()
        demux.binary(struct.pack(">II", 4, len(facts)) + facts + JPEG + bytes([number % 256]))
    for number in range(5):
        facts = json.dumps({"prompt_id": "one", "node_id": "ws"}).encode()
        demux.binary(struct.pack(">II", 4, len(facts)) + facts + PNG + bytes([number]))
    assert run.preview is not None
    assert run.preview.data[-1] == 999 % 256
    assert [picture.data[-1] for picture in run.pictures] == [0, 1, 2, 3, 4]


def test_extensions_that_broadcast_are_no_sign_of_life() -> None:
    demux, (run,) = watched("one")
    demux.text(message("execution_start", prompt_id="one"))
    before = run.signs
    demux.text(message("crystools.monitor", cpu=3))
    demux.text(message("feature_flags", supports_preview_metadata=True))
    assert run.signs == before
    demux.binary(struct.pack(">II", 3, 1) + b"1still here")
    assert run.signs == before + 1


def test_servers_without_prompt_ids_in_their_messages_are_understood() -> None:
    demux, (run,) = watched("one")
    demux.text(message("execution_start", prompt_id="one"))
    demux.text(message("executing", node="1"))
    demux.text(message("progress", value=2, max=4, node="1"))
    assert run.progress.fraction == 0.5
    demux.text(message("executing", node=None))
    assert run.over


MALFORMED = [
    b"",
    b"\0\0\0\1",
    b"\0\0\0\1\0\0\0\1",
    b"\0\0\0\1\0\0\0\1not a picture",
    b"\0\0\0\4\xff\xff\xff\xff{}",
    b"\0\0\0\4\0\0\0\2[]" + PNG,
    b"\0\0\0\4\0\0\0\3{,}" + PNG,
    b"\0\0\0\4\0\0\0\2\xff\xfe" + PNG,
    b"\0\0\0\2\0\0\0\1" + PNG,
    b"\0\0\0\x63aaaaaaaa",
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_binary_frames_are_ignored(data: bytes) -> None:
    assert parse_binary(data) is None


@given(
    st.one_of(st.binary(max_size=64), st.builds(lambda b: b"\0\0\0\4\0\0\0\2{}" + b, st.binary(max_size=9)))
)
def test_no_binary_frame_raises(data: bytes) -> None:
    parsed = parse_binary(data)
    assert parsed is None or isinstance(parsed, Message | Picture)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["type", "data", "node", "nodes"]), inner)
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        ["status", "executing", "progress", "progress_state", "execution_cached", "executed", "x"]
    ),
)
def test_no_text_message_raises(data: object, kind: str) -> None:
    demux, (run,) = watched("one")
    demux.text(message("execution_start", prompt_id="one"))
    for body in (data, {"type": kind, "data": data}, {"type": kind, "data": {"nodes": data, "status": data}}):
        demux.text(json.dumps(body))
    demux.text(
        json.dumps({"type": kind, "data": {"node": "1", "value": data, "max": data, "prompt_id": "one"}})
    )
    assert 0 <= run.progress.fraction <= 1


def test_the_first_message_asks_for_previews_with_metadata() -> None:
    (sent,) = [r for r in records("14") if r["kind"] == "ws_send"]
    assert json.loads(HELLO) == json.loads(sent["text"])
    assert parse_text("[" * 100_000) is None


def ksampler_graph(steps: int) -> dict[str, Any]:
    return {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
        "size": {"class_type": "EmptyLatentImage", "inputs": {"width": 1023, "height": 512}},
        "sampler": {
            "class_type": "KSampler",
            "inputs": {"model": ["model", 0], "latent_image": ["size", 0], "steps": steps},
        },
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["model", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0]}},
    }


def test_samplers_weigh_their_steps() -> None:
    assert weights(ksampler_graph(30)) == {
        "model": 0.5,
        "size": 0.5,
        "sampler": 30,
        "decode": 0.5,
        "save": 0.5,
    }
    custom = {
        "sigmas": {"class_type": "BasicScheduler", "inputs": {"steps": 8}},
        "kind": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "sampler": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {"sigmas": ["sigmas", 0], "sampler": ["kind", 0], "latent_image": ["x", 0]},
        },
    }
    assert weights(custom) == {"sigmas": 0.5, "kind": 0.5, "sampler": 8}


def test_a_refused_branch_weighs_nothing() -> None:
    graph = ksampler_graph(10) | {
        "load": {"class_type": "LoadImage", "inputs": {}},
        "bad": {"class_type": "SaveImage", "inputs": {"images": ["load", 0]}},
    }
    assert set(weights(graph, ["bad"])) == set(ksampler_graph(10))


def test_without_progress_state_the_node_before_is_done_when_the_next_begins() -> None:
    progress = Progress({"a": 1, "b": 1, "c": 2})
    for node in ("a", "b", "c"):
        progress.executing(node)
    assert progress.fraction == 0.5
    progress.step("c", 1, 2)
    assert progress.fraction == 0.75


def test_the_size_is_told_only_where_the_workflow_makes_it_certain() -> None:
    graph = ksampler_graph(4)
    assert picture_size(graph, "save") == (1016, 512)
    graph["save"]["inputs"]["images"] = ["big", 0]
    graph["big"] = {"class_type": "ImageUpscaleWithModel", "inputs": {"image": ["decode", 0]}}
    assert picture_size(graph, "save") is None
    graph["big"] = {"class_type": "ImageScale", "inputs": {"image": ["decode", 0], "width": 640, "height": 0}}
    assert picture_size(graph, "save") is None
    graph["big"]["inputs"]["height"] = 480
    assert picture_size(graph, "save") == (640, 480)
    graph["decode"]["inputs"]["samples"] = ["decode", 0]
    graph["save"]["inputs"]["images"] = ["decode", 0]
    assert picture_size(graph, "save") is None
