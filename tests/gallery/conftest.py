"""A server with a gallery of its own, and pictures that its local provider made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.db.conftest import database, database_url, postgres_server, postgres_url  # noqa: F401
from tests.flows.harness import Client, running

SMALL = {"width": 384, "height": 256, "reuse": "never"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with the local provider only."""
    async with running(tmp_path / "data") as client:
        yield client


async def ordered(client: Client, prompt: str, **more: Any) -> dict[str, Any]:
    """The envelope of a generation that went well."""
    reply = await client.order(**(SMALL | {"prompt": prompt} | more))
    assert reply.status == 201, reply.body
    assert reply.json["status"] == "succeeded", reply.body
    return dict(reply.json)


async def picture(client: Client, prompt: str = "a fox", **more: Any) -> str:
    """The id of one picture, about which everything is known."""
    made = await ordered(client, prompt, **more)
    await client.until(made["id"], "enriched")
    return str(made["output"][0]["id"])


async def gallery(client: Client, **query: Any) -> list[str]:
    """Ids of the pictures that fit, newest first."""
    reply = await client.get("/v1/gallery", params={key.rstrip("_"): value for key, value in query.items()})
    assert reply.status == 200, reply.body
    return [each["id"] for each in reply.json["data"]]
