"""What many applications do: a picture lies in Redis as base64 text, and every view decodes it.

Runs in an environment of its own, so that nothing of Ferrotype is imported here.
"""

from __future__ import annotations

import base64
import os

from fastapi import FastAPI, HTTPException, Response
from redis.asyncio import Redis

app = FastAPI()
redis = Redis.from_url(os.environ["OLD_WAY_REDIS"], decode_responses=True)


@app.get("/image/{name}")
async def view(name: str) -> Response:
    text = await redis.get(f"image:{name}")
    if text is None:
        raise HTTPException(404)
    return Response(base64.b64decode(text), media_type="image/webp")
