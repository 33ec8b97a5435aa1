"""The official SDK's async client, many at once: `openai_async.py SIM_URL KEY`."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

from openai import AsyncOpenAI, NotFoundError

URL, KEY = sys.argv[1:3]
FLARE = "gpt-image-2.6-flare"


async def main() -> dict[str, Any]:
    told: dict[str, Any] = {}
    async with AsyncOpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0) as client:
        told["models"] = [model.id async for model in client.models.list()]
        made = await asyncio.gather(
            *(
                client.images.generate(model=FLARE, prompt=f"number {number}", quality="low")
                for number in range(3)
            )
        )
        told["pictures"] = len({response.data[0].b64_json for response in made})
        stream = await client.images.generate(
            model=FLARE, prompt="step by step", quality="low", stream=True, partial_images=1
        )
        told["stream"] = [event.type async for event in stream]
        picture = base64.b64decode(made[0].data[0].b64_json)
        stream = await client.images.edit(
            model=FLARE,
            prompt="a red door",
            image=[("a.png", picture, "image/png"), ("b.png", picture, "image/png")],
            quality="low",
            stream=True,
        )
        told["edit"] = [event.type async for event in stream]
        try:
            await client.images.generate(model="gpt-image-9", prompt="nothing")
        except NotFoundError as error:
            told["error"] = error.code
    return told


print(json.dumps(asyncio.run(main())))
