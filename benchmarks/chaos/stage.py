"""The processes of one round, and what happens to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.chaos.facts import Account, Death, Round
from benchmarks.launch.troubled import KINDS
from benchmarks.processes import ROOT, Mortal, free_port, python, server

#: After these shares of the orders the service dies, our server is killed, the service is back.
DIES, KILLED, BACK = 0.25, 0.4, 0.6
GARBAGE = 0.1
RATE = 4
#: Seconds that a picture takes at its service at least; twice as long at most.
WORK_SECONDS = 0.3
CREDITS = 3
GRANTED = 10_000
MODEL = "chaos/painter"
SETTINGS = {
    "FERROTYPE_CLASSES": "light=32",
    "FERROTYPE_INITIAL_CREDITS": str(GRANTED),
    "FERROTYPE_BREAKER_SECONDS": "2",
    "FERROTYPE_RETRY_CAP_SECONDS": "5",
    "FERROTYPE_LOG_FORMAT": "json",
}
KEY = "key-of-the-simulators"

CATALOGUE = f"""
[[models]]
name = "{MODEL}"
operations = ["generate"]
class = "light"
price = {{ credits = {CREDITS}, usd = 0.04 }}
timeout = 60
[models.capabilities]
styles = false

[[models.deployments]]
provider = "replicate"
target = "black-forest-labs/flux-1.1-pro"
[models.deployments.options]
wait = 0
default_format = "webp"
[models.deployments.options.input]
prompt = "{{prompt}}"
aspect_ratio = "custom"
width = "{{width}}"
height = "{{height}}"
seed = "{{seed}}"
output_format = "{{format}}"

[[models.deployments]]
provider = "fal"
target = "fal-ai/flux/schnell"
[models.deployments.options.input]
prompt = "{{prompt}}"
image_size = {{ width = "{{width}}", height = "{{height}}" }}
seed = "{{seed}}"

[[models.deployments]]
provider = "openai"
target = "open-diffusion"
[models.deployments.options]
send = ["size", "seed"]
[models.deployments.options.input]
prompt = "{{prompt}}"
"""


class Progress:
    """How many orders have ended."""

    def __init__(self, of: int) -> None:
        self.of, self.ended = of, 0
        self._moved = asyncio.Condition()

    async def step(self) -> None:
        async with self._moved:
            self.ended += 1
            self._moved.notify_all()

    async def reach(self, share: float) -> None:
        """Returns once that share of the orders has ended."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.ended >= share * self.of)


class Stage:
    """The processes of one round, in one folder."""

    def __init__(self, folder: Path, part: Round) -> None:
        self.folder, self.part = folder, part
        self.sims: dict[str, Mortal] = {}
        ports = {kind: free_port() for kind in KINDS}
        for kind, port in ports.items():
            troubles = {
                "kind": kind,
                "port": port,
                "bill": str(self.bill(kind)),
                "key": KEY,
                "seconds": WORK_SECONDS,
                "garbage": GARBAGE if kind == part.garbles else 0,
                "rate": RATE if kind == part.limits else None,
            }
            command = python("benchmarks.launch.troubled", json.dumps(troubles))
            self.sims[kind] = Mortal(command, port=port, folder=folder, env={"VIPS_CONCURRENCY": "1"})
        (folder / "models.toml").write_text(CATALOGUE)
        at = {kind: f"http://127.0.0.1:{port}" for kind, port in ports.items()}
        port = free_port()
        self.url, self._log = f"http://127.0.0.1:{port}", folder / f"{port}.log"
        self.env = server(
            port,
            folder,
            FERROTYPE_CATALOGUE=str(folder / "models.toml"),
            REPLICATE_API_TOKEN=KEY,
            REPLICATE_BASE_URL=at["replicate"],
            FAL_KEY=KEY,
            FAL_BASE_URL=at["fal"],
            FAL_REST_URL=f"{at['fal']}/rest",
            OPENAI_API_KEY=KEY,
            OPENAI_BASE_URL=f"{at['openai']}/v1",
            **SETTINGS,
        )
        self.server = Mortal(python("ferrotype", "serve"), port=port, folder=folder, env=self.env)

    def bill(self, kind: str) -> Path:
        """Where that service writes down what it did for money."""
        return self.folder / f"{kind}.bill"

    def bills(self) -> dict[str, list[dict[str, Any]]]:
        return {
            kind: [json.loads(line) for line in self.bill(kind).read_text().splitlines()] for kind in KINDS
        }

    async def trouble(self, progress: Progress) -> tuple[Death, Death]:
        """What happens meanwhile: when the service was away, and when our server was."""
        sim = self.sims[self.part.dies]
        await progress.reach(DIES)
        died = time.time()
        if self.part.forgets:
            await sim.kill()
        else:
            sim.send(signal.SIGUSR1)
        await progress.reach(KILLED)
        killed = time.time()
        await self.server.kill()
        await self.server.start()
        up = time.time()
        await progress.reach(BACK)
        if self.part.forgets:
            await sim.start()
        else:
            sim.send(signal.SIGUSR2)
        return Death(died, time.time()), Death(killed, up)

    def errors(self) -> list[str]:
        """What our server's log calls an error, and what is no line of a log: a traceback."""
        lines = self._log.read_text().splitlines()
        return [line for line in lines if not line.startswith("{") or json.loads(line)["level"] == "error"]

    async def balance(self) -> Account:
        """The account's, once the server has ended."""
        command = python("ferrotype", "credits")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FERROTYPE_")}
        env = {**clean, **self.env, "PYTHONPATH": str(ROOT)}
        ran = await asyncio.to_thread(
            subprocess.run, command, env=env, capture_output=True, text=True, check=True
        )
        words = dict(part.split() for part in ran.stdout.strip().split(", "))
        return Account(int(words["available"]), int(words["held"]), int(words["spent"]))


@asynccontextmanager
async def stage(part: Round) -> AsyncIterator[Stage]:
    """Everything started, and ended afterwards."""
    with TemporaryDirectory(prefix="ferrotype-chaos-") as name:
        made = Stage(Path(name), part)
        async with AsyncExitStack() as stack:
            for process in (*made.sims.values(), made.server):
                stack.push_async_callback(process.stop)
                await process.start()
            yield made
