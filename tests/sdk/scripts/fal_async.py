"""fal's own client, asynchronous. Argument: the simulator's address."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import fal_client
import httpx
from fal_client import client as sdk

BASE = sys.argv[1]
sdk.REST_URL, sdk.CDN_URL = f"{BASE}/rest", f"{BASE}/cdn"
SCHNELL, DEV, VARIATION = "fal-ai/flux/schnell", "fal-ai/flux/dev", "fal-ai/flux/dev/image-to-image"
ASK = {"prompt": "a fox", "image_size": {"width": 96, "height": 64}}
fal = fal_client.AsyncClient()


async def error_of(call: Any) -> list[Any]:
    try:
        await call
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.error_type]
    raise AssertionError("no error")


async def main() -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=BASE) as http:

        async def script(**values: Any) -> None:
            (await http.patch("/_sim/script", json=values)).raise_for_status()

        made = await fal.run(SCHNELL, ASK)
        picture = (await http.get(made["images"][0]["url"])).content

        await script(hold="run")
        handle = await fal.submit(SCHNELL, ASK, priority="low", start_timeout=60)
        async for status in handle.iter_events(with_logs=True, interval=0.01):
            if isinstance(status, fal_client.InProgress) and status.logs:
                break
        running = type(status).__name__
        await script(hold=None)
        await http.post("/_sim/release")
        result = await handle.get(interval=0.01)
        ended = await fal.status(SCHNELL, handle.request_id, with_logs=True)

        await script(hold="queue")
        waits = await fal.submit(SCHNELL, ASK)
        await fal.cancel(SCHNELL, waits.request_id)
        await script(hold=None)

        ids: list[str] = []
        states: list[str] = []

        async def queued(request_id: str) -> None:
            ids.append(request_id)

        async def told(status: fal_client.Status) -> None:
            states.append(type(status).__name__)

        subscribed = await fal.subscribe(
            SCHNELL, ASK, on_enqueue=queued, on_queue_update=told, interval=0.01, client_timeout=60
        )
        events = [event async for event in fal.stream(DEV, ASK)]

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fox.jpg"
            path.write_bytes(picture)
            uploads = [
                await fal.upload_file(path),
                await fal.upload(picture, "image/jpeg", "fox.jpg", repository="fal"),
            ]
            sdk.MULTIPART_THRESHOLD, sdk.MULTIPART_CHUNK_SIZE = 100, 500
            uploads.append(await fal.upload_file(path))
        variations = [
            await fal.run(VARIATION, {"prompt": "a hen", "image_url": address}) for address in uploads
        ]
        stranger = fal_client.AsyncClient(key="wrong")
        return {
            "head": picture[:3].hex(),
            "running": running,
            "result": (await fal.result(SCHNELL, handle.request_id)) == result,
            "ended": [type(ended).__name__, ended.error, len(ended.logs)],
            "canceled": await error_of(waits.get(interval=0.01)),
            "subscribed": [len(ids), states[-1], len(subscribed["images"])],
            "events": len(events),
            "uploads": [(await http.get(address)).content == picture for address in uploads],
            "variations": [len(each["images"]) for each in variations],
            "key": await error_of(stranger.run(SCHNELL, ASK)),
            "input": await error_of(fal.subscribe(SCHNELL, {"prompt": 5}, interval=0.01)),
        }


print(json.dumps(asyncio.run(main())))
