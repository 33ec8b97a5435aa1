"""Replicate's official client drives the simulator: what it does not understand would be wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ferrotype.sim.replicate import ReplicateScript, ReplicateSim
from ferrotype.sim.replicate.models import MODELS
from tests.sdk.venvs import drive

KEY = "r8_test"
TLS = Path(__file__).parents[1] / "sim" / "tls"
WEBP, PNG = b"RIFF".hex(), b"\x89PNG".hex()


async def driven(sim: ReplicateSim, script: str, *steps: str, **environ: str) -> Any:
    """What the script printed, while the simulator goes on."""
    return await asyncio.to_thread(drive, "replicate", script, sim.url, KEY, *steps, **environ)


async def test_predictions() -> None:
    async with ReplicateSim(ReplicateScript(key=KEY)) as sim:
        steps = ("run", "follow", "cancel", "deploy", "stream", "files")
        told = await driven(sim, "replicate_predictions.py", *steps)
        sources = [work.source for work in sim.works.items.values() if work.source is not None]
        waits = [entry.headers.get("prefer") for entry in sim.journal.entries if "prefer" in entry.headers]
    assert told["run"] == {
        # Over http addresses stay strings; over TLS they are files, see below.
        "kinds": {"plain": "list", "polled": "list", "one": "str"},
        "counts": [2, 1, 1, 1, 1],
        "picture": WEBP,
    }
    assert len(sources) == 2
    assert sources[0] == sources[1]
    assert {"wait", "wait=5", "wait=10"} <= set(waits)
    follow = told["follow"]
    assert follow["states"][0] in ("starting", "processing")
    assert follow["states"][1:] == ["processing", "succeeded"]
    assert follow["progress"] == 0.75
    assert follow["version"] == "hidden"
    assert follow["urls"] == ["cancel", "get", "stream", "web"]
    assert follow["metrics"] == ["predict_time", "total_time"]
    assert follow["pages"] == [2, 2, 2, 1]
    assert follow["newest"]
    assert follow["times"]
    assert told["cancel"] == {"first": "canceled", "again": "canceled"}
    assert told["deploy"] == {
        "model": "black-forest-labs/flux-schnell",
        "status": "succeeded",
        "outputs": 1,
    }
    assert told["stream"]["events"] == ["output", "done"]
    assert told["stream"]["data"].endswith("/0.webp")
    assert told["files"] == {
        "size": 10,
        "name": "a.bin",
        "metadata": {"for": "test"},
        "listed": True,
        "same": True,
        "gone": True,
        "missing": 404,
    }


async def test_errors() -> None:
    async with ReplicateSim(ReplicateScript(key=KEY)) as sim:
        errors = (await driven(sim, "replicate_predictions.py", "errors"))["errors"]
        asked = sim.journal.count("GET /v1/account")
    assert (errors["key"]["status"], errors["key"]["title"]) == (401, "Unauthenticated")
    assert errors["model"]["status"] == 404
    assert errors["prediction"]["status"] == 404
    assert errors["throttled"] == {"status": 429, "detail": "throttled"}
    assert errors["version"]["title"] == "Invalid version or not permitted"
    assert errors["input"] == {
        "status": 422,
        "title": "Input validation failed",
        "detail": "- input: prompt is required\n"
        "- input.num_inference_steps: Must be less than or equal to 4\n",
    }
    assert errors["body"]["detail"] == "- input is required\n"
    assert errors["failed"] == "CUDA out of memory"
    assert errors["account"] == "acme"
    assert asked == 4  # 429, 429, the answer; and the one with the wrong key


async def test_webhooks() -> None:
    async with ReplicateSim(ReplicateScript(key=KEY)) as sim:
        told = await driven(sim, "replicate_webhooks.py")
    assert told == {
        "statuses": ["processing", "succeeded"],
        "ids": True,
        "valid": [True, True],
        "with another key": [False, False],
        "with another body": [False, False],
    }


async def test_outputs_over_tls() -> None:
    tls = (str(TLS / "cert.pem"), str(TLS / "key.pem"))
    async with ReplicateSim(ReplicateScript(key=KEY), tls=tls) as sim:
        told = await driven(sim, "replicate_outputs.py", SSL_CERT_FILE=tls[0])
        assert MODELS["acme/inline"].version in {work.request["version"] for work in sim.works.items.values()}
    assert told == {
        "kinds": ["FileOutput"] * 3,
        "heads": [WEBP, WEBP, PNG],
        "async": WEBP,
        "streamed": "WEBP",
        "address": "data:image/png;base64,",
    }
