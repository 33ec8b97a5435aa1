"""The HTTP side, fed with what a real server answered (tests/transcripts/comfyui)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.providers.base import AttemptRequest, Finished, Output, Progress
from ferrotype.providers.comfyui.errors import first_line, refused, rejection
from ferrotype.providers.comfyui.origins import Origins
from ferrotype.providers.comfyui.outputs import HistoryEntry
from ferrotype.providers.comfyui.queue import ATTEMPT_KEY, QueueView
from ferrotype.providers.comfyui.results import results
from ferrotype.providers.comfyui.run import Run

FOLDER = Path(__file__).parent.parent / "transcripts" / "comfyui"
ATTEMPT = "0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b"


def http(name: str) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Every exchange of a recording: its number, the request, the response."""
    (path,) = FOLDER.glob(f"{name}_*.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "http":
            yield record["seq"], record["request"], record["response"]


def histories(name: str) -> dict[int, HistoryEntry]:
    """Every history entry of a recording, by its number."""
    found = {}
    for seq, request, response in http(name):
        if request["path"].startswith("/history/") and response.get("json"):
            (raw,) = response["json"].values()
            found[seq] = HistoryEntry(raw)
    return found


def request(num_images: int = 1) -> AttemptRequest:
    return AttemptRequest(ATTEMPT, "generate", "txt2img", "a fox", 64, 64, 7, num_images)


def told(entry: HistoryEntry, *, run: Run | None = None, sent: int = 0, num_images: int = 1) -> list[Any]:
    return list(results(entry, run or Run("p", dict(entry.graph)), request(num_images), sent, Origins()))


def names(events: list[Any]) -> list[str]:
    """The file of each Output."""
    outputs = [event for event in events if isinstance(event, Output)]
    assert [output.index for output in outputs] == list(range(len(outputs)))
    return [parse_qs(urlsplit(output.origin.url).query)["filename"][0] for output in outputs if output.origin]


def test_one_picture() -> None:
    (entry,) = histories("03").values()
    progress, output, finished = told(entry)
    assert progress == Progress(1.0)
    assert output.origin.provider == "comfyui"
    assert output.origin.url == "/view?filename=ok_00001_.png&subfolder=&type=output"
    assert (output.content_type, output.seed, output.data) == ("image/png", 7, None)
    assert (output.width, output.height) == (200, 150)  # by ImageScale
    assert finished == Finished(None, 0.07)


def test_a_batch_is_in_the_order_of_its_files() -> None:
    events = told(histories("04")[23], num_images=4)
    assert names(events) == [f"batch_0000{n}_.png" for n in (1, 2, 3, 4)]
    assert [event.seed for event in events if isinstance(event, Output)] == [7, None, None, None]
    assert events[-1].problem is None


def test_a_batch_that_is_too_small_says_so() -> None:
    finished = told(histories("04")[23], num_images=5)[-1]
    assert isinstance(finished.problem, ProviderFailed)
    assert "4 of 5" in finished.problem.detail


def test_several_nodes_in_the_order_of_their_ids_and_no_preview_among_them() -> None:
    events = told(histories("04")[85])
    assert names(events) == ["multiA_00001_.png", "inner_00001_.png"]
    assert [event.origin.url for event in events if isinstance(event, Output)][1] == (
        "/view?filename=inner_00001_.png&subfolder=multiB&type=output"
    )
    # node "0" finished last and is listed last
    assert names(told(histories("09")[100])) == ["int_first_00003_.png", "int_00001_.png"]


def test_a_preview_is_the_result_where_there_is_no_other() -> None:
    raw = {"outputs": {"4": {"images": [{"filename": "t.png", "subfolder": "", "type": "temp"}]}}}
    (output,) = [event for event in told(HistoryEntry(raw)) if isinstance(event, Output)]
    assert output.origin.url.endswith("type=temp")
    assert not [event for event in told(HistoryEntry(raw), sent=1) if isinstance(event, Output)]


def test_animations_are_pictures() -> None:
    assert names(told(histories("04")[109])) == ["anim_00002_.webp", "anim_00001_.png"]


@pytest.mark.parametrize(
    ("seq", "said"), [(126, "no pictures"), (143, "audio"), (160, "latents"), (177, "text")]
)
def test_a_workflow_that_leaves_no_picture_fails_and_says_what_it_left(seq: int, said: str) -> None:
    with pytest.raises(ProviderFailed) as raised:
        told(histories("04")[seq])
    assert said in raised.value.detail


def test_a_cached_rerun_names_the_older_file_and_that_is_ours() -> None:
    first, second, *_ = histories("05").values()
    assert names(told(first)) == names(told(second)) == ["cached_00001_.png"]


def test_interrupted_is_told_apart_from_failed() -> None:
    entries = histories("09")
    for seq in (43, 99, 151):
        with pytest.raises(ProviderInterrupted):
            told(entries[seq])
    for seq, entry in histories("10").items():
        if seq != 68:
            with pytest.raises(ProviderFailed):
                told(entry)


def test_a_failure_names_node_and_reason_and_leaks_no_traceback() -> None:
    entries = histories("10")
    with pytest.raises(ProviderFailed) as raised:
        told(entries[21])
    assert raised.value.detail == "ProbeRaise (node 3) failed at ComfyUI: boom: CUDA out of memory"
    with pytest.raises(ProviderFailed) as raised:
        told(entries[36])
    assert "outside the output folder is not allowed" in raised.value.detail
    assert "/srv" not in raised.value.detail
    assert "execution.py" not in json.dumps(raised.value.to_json())


def test_a_refused_branch_is_told_with_the_picture_of_the_good_one() -> None:
    entry = histories("07")[75]
    events = told(entry)
    assert names(events) == ["partial_ok_00001_.png"]
    assert isinstance(events[-1].problem, ProviderRejected)
    assert "node 4" in events[-1].problem.detail


def test_the_node_errors_of_a_200_are_told_in_full() -> None:
    _, sent, reply = next(item for item in http("07") if item[0] == 60)
    run = Run("p", sent["json"]["prompt"])
    run.refuse(reply["json"]["node_errors"])
    finished = told(histories("07")[75], run=run)[-1]
    assert isinstance(finished.problem, ProviderRejected)
    assert "LoadImage (node 3): " in finished.problem.detail
    assert "Invalid image file: nope.png" in finished.problem.detail


def test_websocket_pictures_that_nobody_heard_are_missed() -> None:
    heard, *_, unheard = histories("14").values()
    run = Run("p", dict(heard.graph))
    run.received = 2
    assert told(heard, run=run, sent=2, num_images=2)[-1].problem is None
    run.received = 1
    run._expected["save_ws"] = 2
    problem = told(heard, run=run, sent=1)[-1].problem
    assert isinstance(problem, ProviderFailed)
    with pytest.raises(ProviderFailed, match="lost with the connection"):
        told(unheard)


def test_entries_of_other_servers_are_tolerated() -> None:
    for raw in ({}, {"outputs": None, "status": None}, {"outputs": {"1": None}, "prompt": "x"}):
        entry = HistoryEntry(raw)
        assert (entry.failure(), entry.seconds(), entry.pictures("output")) == (None, None, [])
    images = [None, {}, {"filename": 3}, {"filename": ""}, {"filename": "a.PNG"}]
    entry = HistoryEntry({"outputs": {"1": {"images": images}, "x": {"images": "?"}}})
    assert [picture.filename for picture in entry.pictures("output")] == ["a.PNG"]
    with pytest.raises(ProviderFailed, match="does not say why"):
        told(HistoryEntry({"status": {"status_str": "error"}}))


def test_odd_file_names_survive_their_address() -> None:
    image = {"filename": "a b&c=1#%.png", "subfolder": "x/ü y", "type": "output"}
    (picture,) = HistoryEntry({"outputs": {"1": {"images": [image]}}}).pictures("output")
    assert parse_qs(urlsplit(picture.path).query) == {
        "filename": ["a b&c=1#%.png"],
        "subfolder": ["x/ü y"],
        "type": ["output"],
    }
    assert " " not in picture.path


def test_the_queue_is_read_in_the_order_in_which_it_runs() -> None:
    body = next(reply["json"] for seq, _, reply in http("08") if seq == 26)
    body["queue_pending"].reverse()
    view = QueueView.parse(body)
    (running,) = view.running
    assert running.prompt_id == "ddab921c-f1ed-4763-9d9e-9bcd1e2f4bbc"
    assert [entry.number for entry in view.pending] == [-1000.0, -67, 65, 66]
    place = view.find_pending("84adbc10-d2d8-4fbe-9299-a82212b2fa6b", "")
    assert place is not None
    assert place[0] == 3
    assert view.find_running("84adbc10-d2d8-4fbe-9299-a82212b2fa6b", "") is None


def test_a_prompt_is_known_by_the_mark_that_it_carries() -> None:
    view = QueueView.parse({"queue_running": [[1, "theirs", {}, {ATTEMPT_KEY: ATTEMPT}, []]]})
    entry = view.find_running(ATTEMPT, ATTEMPT)
    assert entry is not None
    assert entry.prompt_id == "theirs"


@pytest.mark.parametrize(
    "body", [None, [], {}, {"queue_running": 3}, {"queue_pending": [None, [], [1], "x"]}]
)
def test_an_unreadable_queue_is_an_empty_one(body: object) -> None:
    assert QueueView.parse(body) == QueueView((), ())


def test_every_recorded_refusal_becomes_a_readable_problem() -> None:
    bodies = [reply["json"] for _, _, reply in http("07") if reply["status"] == 400]
    assert len(bodies) > 15
    for body in bodies:
        problem = rejection(body)
        text = json.dumps(problem.to_json())
        assert problem.detail.startswith("ComfyUI refused the workflow: ")
        assert len(problem.detail) > 40
        for secret in ("/srv", "traceback", "input_config", "\\n"):
            assert secret not in text


@pytest.mark.parametrize(
    ("seq", "said"),
    [
        (12, "Prompt has no outputs"),
        (14, "node NoSuchNode does not exist.: Node ID '#2'"),
        (18, "EmptyImage (node 1): Required input is missing: batch_size; EmptyImage (node 1): "),
        (20, "EmptyImage (node 1): Value 99999 bigger than max of 16384: width"),
        (39, "CheckpointLoaderSimple (node 1): Value not in list: ckpt_name: 'sd_xl_base_1.0.safetensors'"),
    ],
)
def test_a_refusal_names_node_input_and_reason(seq: int, said: str) -> None:
    body = next(reply["json"] for number, _, reply in http("07") if number == seq)
    assert said in rejection(body).detail


@pytest.mark.parametrize(
    ("status", "on_submit", "otherwise"),
    [
        (302, ProviderUnavailable, ProviderUnavailable),
        (400, ProviderRejected, ProviderRejected),
        (401, ProviderMisconfigured, ProviderMisconfigured),
        (403, ProviderMisconfigured, ProviderMisconfigured),
        (404, ProviderUnavailable, ProviderUnavailable),
        (413, ProviderRejected, ProviderRejected),
        (429, ProviderBusy, ProviderBusy),
        (500, OutcomeUnknown, ProviderUnavailable),
        (502, OutcomeUnknown, ProviderUnavailable),
        (503, ProviderBusy, ProviderBusy),
        (524, OutcomeUnknown, ProviderUnavailable),
    ],
)
def test_what_each_status_means(
    status: int, on_submit: type[ProviderProblem], otherwise: type[ProviderProblem]
) -> None:
    assert type(refused("Submitting", status, None, starts_work=True)) is on_submit
    assert type(refused("Asking", status, None)) is otherwise


def test_credentials_that_are_refused_name_their_settings() -> None:
    detail = refused("Asking", 401, None).detail
    assert "COMFYUI_TOKEN" in detail
    assert "COMFYUI_USER" in detail


def test_a_busy_server_may_say_when_to_come_back() -> None:
    assert refused("Asking", 429, "12").retry_after == 12
    assert refused("Asking", 503, "Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None


def test_long_texts_are_cut() -> None:
    assert first_line("\n\n  one  \ntwo") == "one"
    assert len(first_line("x" * 1000)) == 300
    assert first_line("") == ""
    assert first_line("expected a Tensor (got <class 'NoneType'>)") == "expected a Tensor (got NoneType)"
    assert first_line("<html><body>Bad gateway</body></html>") == ""
