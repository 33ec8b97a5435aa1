"""fal's own client, synchronous: calls in all their forms. Arguments: the simulator's address, the steps.

Its hosts are variables of the environment; the addresses of its storage are constants of its module.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import fal_client
import httpx
from fal_client import client as sdk

BASE, *WANTED = sys.argv[1:]
sdk.REST_URL, sdk.CDN_URL = f"{BASE}/rest", f"{BASE}/cdn"
SCHNELL, DEV, VARIATION = "fal-ai/flux/schnell", "fal-ai/flux/dev", "fal-ai/flux/dev/image-to-image"
SMALL = {"width": 96, "height": 64}


def script(**values: Any) -> None:
    """Tell the simulator what to do from now on."""
    httpx.patch(f"{BASE}/_sim/script", json=values).raise_for_status()


def release() -> None:
    script(hold=None)
    httpx.post(f"{BASE}/_sim/release").raise_for_status()


def head_of(url: str) -> str:
    """The first bytes of a picture, fetched without the key."""
    return httpx.get(url).raise_for_status().content[:3].hex()


def error_of(call: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
    try:
        call(*arguments, **named)
    except fal_client.FalClientHTTPError as error:
        kinds = [part["type"] for part in error.message] if isinstance(error.message, list) else error.message
        return {"status": error.status_code, "said": kinds, "type": error.error_type}
    raise AssertionError("no error")


def run() -> dict[str, Any]:
    """Without the queue, the picture by address and inline."""
    asked = {"prompt": "a fox", "image_size": SMALL, "num_images": 2, "seed": 7}
    made = fal_client.run(SCHNELL, asked)
    inline = fal_client.run(DEV, {"prompt": "a fox", "sync_mode": True, "output_format": "png"})
    named = fal_client.run("fal-ai/flux", asked | {"num_images": 1}, path="/dev", start_timeout=60, hint="a")
    return {
        "count": len(made["images"]),
        "sizes": [[image["width"], image["height"]] for image in made["images"]],
        "seed": made["seed"],
        "nsfw": made["has_nsfw_concepts"],
        "head": head_of(made["images"][0]["url"]),
        "inline": inline["images"][0]["url"][:22],
        "usual size": [inline["images"][0]["width"], inline["images"][0]["height"]],
        "by path": len(named["images"]),
    }


def queue() -> dict[str, Any]:
    """One request from its place in the queue over its logs to its result, and once more by its id."""
    script(hold="queue", slots=1)
    first = fal_client.submit(SCHNELL, {"prompt": "first"})
    second = fal_client.submit(SCHNELL, {"prompt": "second", "image_size": SMALL}, priority="low")
    waiting = second.status()
    fal_client.cancel(SCHNELL, first.request_id)
    script(hold="run")
    running = next(
        status
        for status in second.iter_events(with_logs=True, interval=0.01)
        if isinstance(status, fal_client.InProgress) and status.logs
    )
    plain = second.status()
    release()
    *_, ended = second.iter_events(with_logs=True, interval=0.01)
    result = second.get()
    again = fal_client.status(SCHNELL, second.request_id)
    script(slots=None)
    return {
        "waiting": [type(waiting).__name__, waiting.position],
        "running": [type(running).__name__, running.logs[0]["message"].strip()[:4], plain.logs],
        "ended": [type(ended).__name__, len(ended.logs), sorted(ended.metrics), ended.error],
        "pictures": len(result["images"]),
        "by id": fal_client.result(SCHNELL, second.request_id) == result,
        "again": type(again).__name__,
        "links": second.status_url.removeprefix(BASE).replace(second.request_id, "ID"),
    }


def cancel() -> dict[str, Any]:
    """What waits is taken out; what runs is told; what ended cannot be stopped."""
    script(hold="queue")
    waits = fal_client.submit(SCHNELL, {"prompt": "never mind"})
    waits.cancel()
    script(hold="run", stops_running=True)
    runs = fal_client.submit(SCHNELL, {"prompt": "never mind"})
    while not isinstance(runs.status(), fal_client.InProgress):
        pass
    runs.cancel()
    script(hold=None)
    return {
        "waits": error_of(waits.get, interval=0.01),
        "runs": error_of(runs.get, interval=0.01),
        "again": error_of(waits.cancel),
        "unknown": error_of(fal_client.cancel, SCHNELL, "00000000-0000-0000-0000-000000000000"),
        "state": type(waits.status()).__name__,
    }


def subscribe() -> dict[str, Any]:
    """By the queue, with its callbacks; a workflow has a namespace before its owner."""
    ids: list[str] = []
    states: list[fal_client.Status] = []
    result = fal_client.subscribe(
        SCHNELL,
        {"prompt": "a hen", "image_size": SMALL},
        with_logs=True,
        interval=0.01,
        on_enqueue=ids.append,
        on_queue_update=states.append,
        start_timeout=30,
    )
    flow = fal_client.subscribe("workflows/demo/portrait", {"prompt": "me"}, interval=0.01)
    return {
        "ids": len(ids),
        "last": type(states[-1]).__name__,
        "pictures": len(result["images"]),
        "flow": len(flow["images"]),
    }


def stream() -> dict[str, Any]:
    """Unfinished pictures inline, and the result."""
    *previews, last = fal_client.stream(DEV, {"prompt": "a stream", "image_size": SMALL})
    return {
        "previews": [event["images"][0]["url"][:23] for event in previews],
        "last": head_of(last["images"][0]["url"]),
    }


def files() -> dict[str, Any]:
    """A picture comes back as an input: over the delivery network, whole and in parts, over the storage, and
    inline."""
    url = fal_client.run(SCHNELL, {"prompt": "a fox", "image_size": SMALL})["images"][0]["url"]
    picture = httpx.get(url).content
    kept = fal_client.StorageSettings(expires_in="1h")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fox.jpg"
        path.write_bytes(picture)
        sources = {
            "network": fal_client.upload(picture, "image/jpeg", "fox.jpg", lifecycle=kept),
            "file": fal_client.upload_file(path),
            "storage": fal_client.upload(picture, "image/jpeg", "fox.jpg", repository="fal"),
            "inline": fal_client.encode_file(path),
        }
        sdk.MULTIPART_THRESHOLD, sdk.MULTIPART_CHUNK_SIZE = 100, 500
        sources["parts"] = fal_client.upload(picture, "image/jpeg", "parts.jpg")
    same = {name: source.startswith("data:") or httpx.get(source).content == picture
            for name, source in sources.items()}  # fmt: skip
    asked = {"prompt": "a hen", "strength": 0.5}
    made = [fal_client.run(VARIATION, asked | {"image_url": source}) for source in sources.values()]
    return {"same": same, "sizes": [[each["images"][0][side] for side in SMALL] for each in made]}


def errors() -> dict[str, Any]:
    """Every kind of refusal, as the client tells it."""
    found = {
        "key": error_of(fal_client.SyncClient(key="wrong").submit, SCHNELL, {"prompt": "x"}),
        "app": error_of(fal_client.submit, "nobody/nothing", {}),
        "input": error_of(fal_client.run, SCHNELL, {"num_images": 9}),
        "path": error_of(fal_client.subscribe, "fal-ai/flux/turbo", {"prompt": "x"}, interval=0.01),
        "request": error_of(fal_client.status, SCHNELL, "00000000-0000-0000-0000-000000000000"),
        "picture": error_of(fal_client.run, VARIATION, {"prompt": "x", "image_url": "https://x.example/y"}),
    }
    script(faults=[{"kind": "refusal", "message": "flagged"}])
    found["policy"] = error_of(fal_client.subscribe, SCHNELL, {"prompt": "x"}, interval=0.01)
    script(faults=[{"kind": "error", "message": "CUDA out of memory"}])
    found["failed"] = error_of(fal_client.run, SCHNELL, {"prompt": "x"})
    script(hold="queue")
    expired = fal_client.submit(SCHNELL, {"prompt": "x"}, start_timeout=1.1)
    found["expired"] = error_of(expired.get, interval=0.05)
    found["state"] = expired.status().error_type
    script(hold=None, failures=[{"route": "POST /{endpoint}", "status": 429, "times": 2}])
    found["busy"] = len(fal_client.submit(SCHNELL, {"prompt": "x"}).get(interval=0.01)["images"])
    return found


STEPS = (run, queue, cancel, subscribe, stream, files, errors)
print(json.dumps({step.__name__: step() for step in STEPS if step.__name__ in WANTED}))
