"""What the official client makes of outputs over TLS: files that can be read. Arguments: address, key."""

from __future__ import annotations

import asyncio
import json
import sys

import replicate
from replicate.helpers import FileOutput

BASE, KEY = sys.argv[1:3]
client = replicate.Client(api_token=KEY, base_url=BASE)
inline = client.models.get("acme/inline").latest_version

pictures = client.run("black-forest-labs/flux-schnell", input={"prompt": "a fox", "num_outputs": 2})
data = client.run(f"acme/inline:{inline.id}", input={"prompt": "a hen", "output_format": "png"})


async def read(output: FileOutput) -> bytes:
    return await output.aread()


print(
    json.dumps(
        {
            "kinds": [type(each).__name__ for each in (*pictures, data)],
            "heads": [each.read()[:4].hex() for each in (*pictures, data)],
            "async": asyncio.run(read(pictures[0]))[:4].hex(),
            "streamed": b"".join(pictures[1])[8:12].decode(),
            "address": data.url[:22],
        }
    )
)
