"""The official client makes, lists, follows and cancels predictions. Arguments: the API's address, its key,
the steps to go."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any

import httpx
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.pagination import paginate

BASE, KEY, *WANTED = sys.argv[1:]
SCHNELL = "black-forest-labs/flux-schnell"
client = replicate.Client(api_token=KEY, base_url=BASE)
client.poll_interval = 0.01


def script(**values: Any) -> None:
    """Tell the simulator what to do from now on."""
    httpx.patch(f"{BASE}/_sim/script", json=values).raise_for_status()


def release() -> None:
    httpx.post(f"{BASE}/_sim/release").raise_for_status()


def error_of(call: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
    try:
        call(*arguments, **named)
    except ReplicateError as error:
        return error.to_dict()
    raise AssertionError("no error")


def run() -> dict[str, Any]:
    """`run` in its forms: official model, version, without waiting, with a file."""
    version = client.models.get("acme/portraits").versions.list()[0].id
    plain = client.run(SCHNELL, input={"prompt": "a fox", "num_outputs": 2, "seed": 1})
    polled = client.run(f"acme/portraits:{version}", input={"prompt": "a hen"}, wait=False)
    one = client.run("black-forest-labs/flux-1.1-pro", input={"prompt": "a cat"}, wait=5)
    picture = httpx.get(plain[0]).content
    file = io.BytesIO(picture)
    file.name = "fox.webp"
    uploaded = client.run("black-forest-labs/flux-dev", input={"prompt": "a fox", "image": file})
    inline = client.run(
        "black-forest-labs/flux-dev",
        input={"prompt": "a fox", "image": file},
        file_encoding_strategy="base64",
    )
    unpolled = asyncio.run(client.async_run(SCHNELL, input={"prompt": "an owl"}))
    kinds = {
        name: type(value).__name__ for name, value in (("plain", plain), ("polled", polled), ("one", one))
    }
    counts = [len(value) for value in (plain, polled, uploaded, inline, unpolled)]
    return {"kinds": kinds, "counts": counts, "picture": picture[:4].hex()}


def follow() -> dict[str, Any]:
    """One prediction from its start over its progress to its end; its pages in the list."""
    script(hold="end")
    made = client.predictions.create(model=SCHNELL, input={"prompt": "slow"})
    states = [made.status]
    while made.progress is None or made.progress.percentage < 0.75:
        made.reload()
    states.append(made.status)
    progress = made.progress.percentage
    script(hold=None)
    release()
    made.wait()
    states.append(made.status)
    script(page_size=2)
    pages = [len(page.results) for page in paginate(client.predictions.list)]
    newest = client.predictions.list().results[0]
    script(page_size=100)
    return {
        "states": states,
        "progress": progress,
        "version": made.version,
        "urls": sorted(made.urls),
        "metrics": sorted(made.metrics),
        "pages": pages,
        "newest": newest.id == made.id,
        "times": made.created_at <= made.started_at <= made.completed_at,
    }


def cancel() -> dict[str, Any]:
    """Cancel one that runs, and once more."""
    script(hold="run")
    made = client.predictions.create(model=SCHNELL, input={"prompt": "never mind"})
    made.cancel()
    script(hold=None)
    again = client.predictions.cancel(made.id)
    return {"first": made.status, "again": again.status}


def deploy() -> dict[str, Any]:
    """Through a deployment."""
    deployment = client.deployments.get("acme/fast-flux")
    made = deployment.predictions.create(input={"prompt": "quick"}, wait=10)
    while made.status not in ("succeeded", "failed"):
        made.reload()
    return {"model": deployment.current_release.model, "status": made.status, "outputs": len(made.output)}


def stream() -> dict[str, Any]:
    """Server-sent events: the picture's address, and the end."""
    events = list(client.stream(SCHNELL, input={"prompt": "a stream"}))
    return {"events": [event.event.value for event in events], "data": events[0].data}


def files() -> dict[str, Any]:
    """Files come, are listed, and go."""
    file = client.files.create(io.BytesIO(b"some bytes"), filename="a.bin", metadata={"for": "test"})
    listed = [each.id for each in client.files.list()]
    same = client.files.get(file.id)
    gone = client.files.delete(file.id)
    missing = error_of(client.files.get, file.id)
    return {
        "size": file.size,
        "name": file.name,
        "metadata": file.metadata,
        "listed": file.id in listed,
        "same": same.checksums == file.checksums,
        "gone": gone,
        "missing": missing["status"],
    }


def errors() -> dict[str, Any]:
    """Every kind of refusal, as the client tells it."""
    stranger = replicate.Client(api_token="wrong", base_url=BASE)
    script(faults=[{"kind": "error", "message": "CUDA out of memory"}])
    try:
        client.run(SCHNELL, input={"prompt": "too large"})
    except ModelError as error:
        failed = str(error)
    script(failures=[{"route": "GET /v1/account", "status": 429, "times": 2}])
    account = client.accounts.current().username  # it tries again by itself
    script(failures=[{"route": "POST /v1/predictions", "status": 429, "body": '{"detail": "throttled"}'}])
    return {
        "key": error_of(stranger.accounts.current),
        "model": error_of(client.models.get, "acme/nothing"),
        "throttled": error_of(client.predictions.create, version="5" * 64, input={}),
        "version": error_of(client.predictions.create, version="0" * 64, input={}),
        "input": error_of(client.models.predictions.create, SCHNELL, input={"num_inference_steps": 9}),
        "body": error_of(client.predictions.create, version="5" * 64, input=None),
        "prediction": error_of(client.predictions.get, "unknown"),
        "failed": failed,
        "account": account,
    }


STEPS = (run, follow, cancel, deploy, stream, files, errors)
print(json.dumps({step.__name__: step() for step in STEPS if step.__name__ in WANTED}))
