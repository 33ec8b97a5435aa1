"""The SDK's asyncio client. Arguments: the simulator's address, key."""

import asyncio
import json
import sys

import aiohttp
import runpod

runpod.api_key = sys.argv[2]
ASK = {"prompt": "a red boat", "width": 64, "height": 48}


async def main():
    async with aiohttp.ClientSession() as session:
        endpoint = runpod.AsyncioEndpoint("handler", session)
        job = await endpoint.run(ASK)
        output = await job.output(timeout=20)
        await session.patch(f"{sys.argv[1]}/_sim/script", json={"hold": "run"})
        running = await endpoint.run(ASK)
        return {
            "status": await job.status(),
            "pictures": len(output["images"]),
            "stream": [1 async for _ in job.stream()],
            "canceled": (await running.cancel())["status"],
            "state": await running.status(),
            "health": await endpoint.health(),
            "purged": await endpoint.purge_queue(),
        }


print(json.dumps(asyncio.run(main())))
