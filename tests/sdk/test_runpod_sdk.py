"""RunPod's own SDK drives the simulator; its side of the worker says what jobs return."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ferrotype.sim.hosted import HostedScript, Work
from ferrotype.sim.runpod import RunPodSim
from ferrotype.sim.runpod.workers import SCHEMA, Complaint, Crash, HandlerWorker, crashed
from tests.providers.contract.rig import KEY
from tests.sdk.venvs import drive

PNG = "89504e47"
JPEG = "ffd8"


@pytest.fixture
async def sim() -> AsyncIterator[RunPodSim]:
    async with RunPodSim(HostedScript(key=KEY)) as made:
        yield made


async def told(sim: RunPodSim, script: str) -> Any:
    environ = {"RUNPOD_ENDPOINT_BASE_URL": sim.base_url}
    return await asyncio.to_thread(drive, "runpod", script, sim.url, KEY, **environ)


async def test_the_synchronous_client(sim: RunPodSim) -> None:
    found = await told(sim, "runpod_jobs.py")
    images = [[f"boat_0000{index}_.png", "base64", PNG] for index in (1, 2)]
    assert found["run"] == {"status": "COMPLETED", "images": images}
    assert found["run_sync"] == [PNG, PNG]
    assert found["public"]["cost"] == pytest.approx(512 * 512 / 1e6 * 0.005)
    assert found["picture"] == JPEG
    assert found["running"] == ["IN_PROGRESS", "Update 1/4"]
    assert found["busy"]["workers"]["running"] == 1
    assert found["busy"]["jobs"]["inProgress"] == 1
    canceled, state, output = found["canceled"]
    assert (canceled["status"], state, output) == ("CANCELLED", "CANCELLED", None)
    assert found["waiting"] == "IN_QUEUE"
    assert found["purged"] == {"removed": 1, "status": "completed"}
    assert found["stream"] == [PNG, PNG]
    output, state, error = found["failed"]
    assert (output, state, json.loads(error)["error_message"]) == (None, "FAILED", "no GPU")
    assert found["refused"] == [None, "FAILED", "Missing 'workflow' parameter"]
    assert found["health"]["jobs"] == {
        "completed": 2,
        "failed": 1,
        "inProgress": 0,
        "inQueue": 0,
        "retried": 0,
    }
    assert found["errors"] == {
        "endpoint": 404,
        "policy": 400,
        "webhook": 400,
        "large": 413,
        "job": 404,
        "key": "401",
    }


async def test_the_asyncio_client(sim: RunPodSim) -> None:
    found = await told(sim, "runpod_async.py")
    assert found["status"] == "COMPLETED"
    assert found["pictures"] == 1
    assert found["stream"] == [1]
    assert (found["canceled"], found["state"]) == ("CANCELLED", "CANCELLED")
    assert found["health"]["jobs"]["completed"] == 1
    assert found["purged"] == {"removed": 0, "status": "completed"}


async def test_what_the_sdk_makes_of_handlers_is_what_the_simulator_tells(sim: RunPodSim) -> None:
    """The simulator's results and validation, side by side with the SDK's own."""
    inputs: list[dict[str, Any]] = [
        {},
        {"prompt": 7},
        {"prompt": "a", "sampler": "euler"},
        {"prompt": "a", "seed": "7", "width": 64.5},
        {"prompt": "a", "seed": 7, "strength": 1},
    ]
    asked = {
        "schema": {name: [kind.__name__, required] for name, (kind, required) in SCHEMA.items()},
        "inputs": inputs,
        "returns": [
            {"raise": "no GPU"},
            {"return": {"error": "Job processing failed", "details": ["one", "two"]}},
            {"return": {"error": "Missing 'workflow' parameter"}},
            {"return": {"images": [], "status": "success_no_images"}},
            {"return": ["a", "b"]},
        ],
    }
    found = await asyncio.to_thread(drive, "runpod", "runpod_worker.py", json.dumps(asked))
    raised, failed, refused, empty, plain = found["jobs"]
    assert set(json.loads(raised["error"])) == set(json.loads(crashed(Crash("no GPU"))))
    assert json.loads(raised["error"])["error_message"] == "no GPU"

    def ours(output: Any = None, complaint: Complaint | None = None) -> dict[str, Any]:
        work = Work("a-job", {"endpoint": "odd"})
        if complaint is not None:
            work.request["complaint"] = complaint

        class Odd(HandlerWorker):
            def result(self, work: Work, address: Any) -> Any:
                return output

        sim.endpoints["odd"] = Odd()
        return sim.returned(work)

    assert failed == ours(complaint=Complaint("Job processing failed", ["one", "two"]))
    assert refused == ours(complaint=Complaint("Missing 'workflow' parameter"))
    assert empty == ours({"images": [], "status": "success_no_images"})
    assert plain == ours(["a", "b"])
    assert [_errors(given) for given in inputs] == [sorted(errors) for errors in found["errors"]]


def _errors(given: dict[str, Any]) -> list[str]:
    try:
        HandlerWorker().read(given, Work("a-job", {}))
    except Complaint as complaint:
        return sorted(complaint.error)
    return []
