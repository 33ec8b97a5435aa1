"""fal's own client drives the simulator: what it does not understand would be wrong. It speaks https only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from ferrotype.sim.fal import FalScript, FalSim
from tests.sdk.venvs import drive

KEY: Final = "id-of-a-key:secret-of-it"
TLS: Final = Path(__file__).parents[1] / "sim" / "tls"
CERT: Final = str(TLS / "cert.pem")
JPEG: Final = "ffd8ff"


@pytest.fixture
async def sim() -> AsyncIterator[FalSim]:
    async with FalSim(FalScript(key=KEY), tls=(CERT, str(TLS / "key.pem"))) as made:
        yield made


async def driven(sim: FalSim, script: str, *steps: str) -> Any:
    """What the script printed, while the simulator goes on."""
    host = sim.url.removeprefix("https://")
    environ = {
        "FAL_KEY": KEY,
        "FAL_RUN_HOST": f"{host}/run",
        "FAL_QUEUE_RUN_HOST": host,
        "SSL_CERT_FILE": CERT,
    }
    return await asyncio.to_thread(drive, "fal", script, sim.url, *steps, **environ)


async def test_calls(sim: FalSim) -> None:
    told = await driven(sim, "fal_calls.py", "run", "queue", "subscribe", "stream")
    assert told["run"] == {
        "count": 2,
        "sizes": [[96, 64], [96, 64]],
        "seed": 7,
        "nsfw": [False, False],
        "head": JPEG,
        "inline": "data:image/png;base64,",
        "usual size": [1024, 768],
        "by path": 1,
    }
    assert told["queue"] == {
        "waiting": ["Queued", 1],
        "running": ["InProgress", "25%|", None],
        "ended": ["Completed", 4, ["inference_time"], None],
        "pictures": 1,
        "by id": True,
        "again": "Completed",
        "links": "/fal-ai/flux/requests/ID/status",
    }
    assert told["subscribe"] == {"ids": 1, "last": "Completed", "pictures": 1, "flow": 1}
    assert told["stream"] == {"previews": ["data:image/jpeg;base64,"] * 2, "last": JPEG}
    headers = [entry.headers for entry in sim.journal.entries]
    assert {"low"} == {sent["x-fal-queue-priority"] for sent in headers if "x-fal-queue-priority" in sent}
    assert {"60.0", "30.0"} <= {sent.get("x-fal-request-timeout") for sent in headers}


async def test_cancel(sim: FalSim) -> None:
    told = (await driven(sim, "fal_calls.py", "cancel"))["cancel"]
    canceled = {"status": 499, "said": "The request was cancelled by the client", "type": "client_cancelled"}
    assert told["waits"] == told["runs"] == canceled
    assert told["again"]["status"] == 400
    assert told["unknown"]["status"] == 404
    assert told["state"] == "Completed"
    assert [work.state for work in sim.works.items.values()] == ["canceled", "canceled"]


async def test_files(sim: FalSim) -> None:
    told = (await driven(sim, "fal_calls.py", "files"))["files"]
    assert told["same"] == dict.fromkeys(("network", "file", "storage", "inline", "parts"), True)
    assert told["sizes"] == [[96, 64]] * 5
    sources = {work.source for work in sim.works.items.values() if work.source is not None}
    assert len(sources) == 1
    kept = [file.lifecycle for file in sim.storage.files.values() if file.lifecycle is not None]
    assert kept == [{"expiration_duration_seconds": 3_600}]
    (parts,) = [file for file in sim.storage.files.values() if file.parts]
    assert len(parts.parts) > 1
    # Only fal's own addresses are shown the key; its delivery network gets a token.
    shown = {entry.route for entry in sim.journal.entries if KEY in entry.headers.get("authorization", "")}
    assert shown == {
        "POST /run/{endpoint}",
        "POST /rest/storage/auth/token",
        "POST /rest/storage/upload/initiate",
        "PUT /rest/uploads/{file}",  # the client shows it to whatever address it is told
    }


async def test_errors(sim: FalSim) -> None:
    told = (await driven(sim, "fal_calls.py", "errors"))["errors"]
    assert told["key"]["status"] == 401
    assert told["app"] == {"status": 404, "said": 'Application "nobody/nothing" not found', "type": None}
    assert told["input"] == {"status": 422, "said": ["less_than_equal", "missing"], "type": None}
    assert told["path"] == {"status": 404, "said": "Path /turbo not found", "type": None}
    assert told["request"]["status"] == 404
    assert told["picture"] == {"status": 422, "said": ["file_download_error"], "type": None}
    assert told["policy"] == {"status": 422, "said": ["content_policy_violation"], "type": None}
    assert told["failed"] == {"status": 500, "said": ["internal_server_error"], "type": None}
    assert told["expired"] == {"status": 504, "said": "Request timed out", "type": "request_timeout"}
    assert told["state"] == "request_timeout"
    assert told["busy"] == 1
    assert sum(entry.status == 429 for entry in sim.journal.entries) == 2


async def test_the_asynchronous_client(sim: FalSim) -> None:
    assert await driven(sim, "fal_async.py") == {
        "head": JPEG,
        "running": "InProgress",
        "result": True,
        "ended": ["Completed", None, 4],
        "canceled": [499, "client_cancelled"],
        "subscribed": [1, "Completed", 1],
        "events": 3,
        "uploads": [True, True, True],
        "variations": [1, 1, 1],
        "key": [401, None],
        "input": [422, None],
    }
