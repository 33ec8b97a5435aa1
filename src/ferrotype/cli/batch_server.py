"""The server that a batch is ordered at: one that runs, or one in this process for as long as it takes."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from ferrotype.app.lock import running_server
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.cli.session import Event, read_events, read_json
from ferrotype.config import ConfigError
from ferrotype.domain.problems import ServerProblem

#: Items that one look brings.
PAGE: Final = 100
CHUNK: Final = 256 * 1024
#: Silence after which a connection counts as dead, in seconds: the server keeps streams alive more often.
SILENCE: Final = 120.0


class BatchServer:
    """The batches of a server, through its API. Every method raises Problem and aiohttp.ClientError. `where`
    tells people which server it is."""

    def __init__(self, http: aiohttp.ClientSession, url: str, where: str) -> None:
        self.url = url.rstrip("/")
        self.where = where
        self._http = http

    async def estimate(self, body: dict[str, Any]) -> dict[str, Any]:
        """What it would cost, and how long it would take."""
        async with self._http.post(f"{self.url}/v1/estimates", json=body) as reply:
            return await read_json(reply)

    async def order(self, body: dict[str, Any], key: str) -> dict[str, Any]:
        """The batch, new or made by the same key before."""
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        async with self._http.post(f"{self.url}/v1/batches", json=body, headers=headers) as reply:
            return await read_json(reply)

    async def batch(self, batch_id: str) -> dict[str, Any]:
        """Its envelope. Raises NotFound."""
        return await self._get(f"/v1/batches/{batch_id}")

    async def generation(self, generation_id: str) -> dict[str, Any]:
        """Its envelope."""
        return await self._get(f"/v1/generations/{generation_id}")

    async def items(self, batch_id: str) -> AsyncIterator[dict[str, Any]]:
        """Every item of a batch in its order."""
        cursor = ""
        while True:
            page = await self._get(f"/v1/batches/{batch_id}/items?limit={PAGE}{cursor}")
            for item in page["data"]:
                yield item
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"

    @asynccontextmanager
    async def events(self, batch_id: str) -> AsyncIterator[AsyncIterator[Event]]:
        """What happens to it from now on; the first is a snapshot."""
        url = f"{self.url}/v1/batches/{batch_id}/events?previews=false"
        async with self._http.get(url) as stream:
            if stream.status != 200:
                await read_json(stream)
            yield read_events(stream)

    async def download(self, asset_id: str, path: Path) -> str:
        """Write a picture's bytes to a file as they come; their media type. Raises OSError too."""
        async with self._http.get(f"{self.url}/images/{asset_id}") as reply:
            if reply.status != 200:
                await read_json(reply)
            with path.open("wb") as file:
                async for chunk in reply.content.iter_chunked(CHUNK):
                    file.write(chunk)
            return reply.content_type

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._http.get(self.url + path) as reply:
            return await read_json(reply)


Story = Callable[[BatchServer], Awaitable[None]]


async def with_server(settings: AppSettings, data_dir: Path | None, server: str | None, story: Story) -> bool:
    """Run the story with the named server, else with the one that owns the data folder, else with one in this
    process. Whether it came to its end: a server of our own stops at a signal, which ends it early."""
    if server is not None and not server.startswith(("http://", "https://")):
        raise ConfigError(f"--server: {server!r} is no address; write http://host:port.")
    owner = running_server(settings.data_dir) if server is None else None
    if owner is not None and not owner.get("url"):
        raise ConfigError(
            f"FERROTYPE_DATA_DIR: {settings.data_dir} is in use by another command (process"
            f" {owner.get('pid', '?')})."
        )
    url = server or (owner or {}).get("url")
    if url is None:
        return await _alone(data_dir, story)
    async with _connected(settings, url, f"at {url}") as found:
        await story(found)
    return True


async def _alone(data_dir: Path | None, story: Story) -> bool:
    from ferrotype.app.compose import Ferrotype  # slow to import, and a running server does without
    from ferrotype.app.server import address, serve

    settings = load_settings(
        http={"host": "127.0.0.1", "port": _any_port()},
        storage={"data_dir": data_dir},
        log={"log_level": "error"},
    )
    ended = False

    async def run(_: Ferrotype) -> None:
        nonlocal ended
        async with _connected(settings, address(settings), "in this process") as found:
            await story(found)
        ended = True

    await serve(settings, while_serving=run)
    return ended


@asynccontextmanager
async def _connected(settings: AppSettings, url: str, where: str) -> AsyncIterator[BatchServer]:
    key = settings.http.api_key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=SILENCE)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        try:
            yield BatchServer(http, url, where)
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            why = os.strerror(number) if number and number > 0 else str(error.os_error)
            raise ServerProblem(f"{url} cannot be reached: {why}.") from None
        except aiohttp.InvalidURL as error:
            raise ConfigError(f"--server: {url!r} is no address ({error}).") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerProblem(f"{url} broke off: {error or type(error).__name__}.") from None


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
