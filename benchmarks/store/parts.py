"""An S3 server, and servers whose pictures wait in the spool."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import obstore
import pyvips
from obstore.store import S3Store

from benchmarks.delivery import usage
from benchmarks.processes import free_port, process, python, server

BUCKET: Final = "pictures"
KEY, SECRET = "bench", "the-secret-of-bench"
WEED: Final = str(Path(sys.executable).with_name("weed"))
GATED: Final = python("benchmarks.launch.gated_stores")
#: gRPC of each part of SeaweedFS listens so much above its port.
GRPC: Final = 10_000
PATIENCE: Final = 600.0
LOOK_SECONDS: Final = 0.01
UPLOADS_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of a SeaweedFS of its own."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, url: str | None = None) -> dict[str, str]:
        """Of a server that stores here, by way of `url` if one is given."""
        return {
            "FERROTYPE_S3_BUCKET": BUCKET,
            "FERROTYPE_S3_ENDPOINT": url or self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def client(self) -> S3Store:
        return S3Store(
            BUCKET,
            endpoint=self.url,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
            virtual_hosted_style_request=False,
        )

    async def sizes(self) -> list[int]:
        """Of all objects."""
        return [each["size"] async for page in obstore.list(self.client()) for each in page]


@asynccontextmanager
async def seaweed(folder: Path, *, core: int | None = None) -> AsyncIterator[Bucket]:
    """SeaweedFS, all its parts in one process; what it keeps is in `folder` and is deleted at the end."""
    data = folder / f"seaweed-{time.monotonic_ns()}"
    data.mkdir(parents=True)
    rights = {
        "name": KEY,
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (data / "s3.json").write_text(json.dumps({"identities": [rights]}))
    master, volume, filer, port = (free_port() for _ in range(4))
    options = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": master,
        "master.port.grpc": master + GRPC,
        "master.volumeSizeLimitMB": 1024,
        "volume.port": volume,
        "volume.port.grpc": volume + GRPC,
        "volume.max": 100,
        "filer": "true",
        "filer.port": filer,
        "filer.port.grpc": filer + GRPC,
        "s3": "true",
        "s3.port": port,
        "s3.port.grpc": port + GRPC,
        "s3.config": data / "s3.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    command = [WEED, "server", *(f"-{name}={value}" for name, value in options.items())]
    try:
        async with process(command, port=port, folder=data, core=core) as child:
            bucket = Bucket(port, child.pid)
            await _warm(bucket.client())
            try:
                yield bucket
            finally:
                child.kill()  # asked to end it takes ten seconds, for the sake of data that nobody wants
    finally:
        shutil.rmtree(data, ignore_errors=True)


async def _warm(client: S3Store) -> None:
    """The first object makes the bucket, and takes the first volume with it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await obstore.put_async(client, "first", b"first")
            await obstore.delete_async(client, "first")
        except Exception:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def noise(seed: int, side: int) -> bytes:
    """A PNG of three bytes per pixel, and no other like it."""
    pixels = random.Random(seed).randbytes(side * side * 3)
    return bytes(pyvips.Image.new_from_memory(pixels, side, side, 3, "uchar").pngsave_buffer(compression=0))


@dataclass(frozen=True)
class Backlog:
    """The data folder of a server that has ended, with pictures that no store has yet."""

    folder: Path
    count: int

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.spool.iterdir())

    def copied_to(self, folder: Path) -> None:
        """The pictures share their blocks; whoever lets one go leaves ours."""
        folder.mkdir()
        for file in self.folder.iterdir():
            if file.is_file():
                shutil.copy2(file, folder / file.name)
        (folder / "spool").mkdir()
        for file in self.spool.iterdir():
            os.link(file, folder / "spool" / file.name)


async def backlog(folder: Path, count: int, pictures: Iterator[bytes], **settings: str) -> Backlog:
    """Upload `count` pictures to a server whose stores wait, and end it when nothing else is to be done."""
    port = free_port()
    away = Bucket(free_port(), 0)  # nobody is there
    env = server(port, folder, **away.settings(), **settings)
    data = Path(env["FERROTYPE_DATA_DIR"])
    async with process(GATED, port=port, folder=folder, env=env), aiohttp.ClientSession() as http:

        async def client() -> None:
            for picture in pictures:
                async with http.post(f"http://127.0.0.1:{port}/v1/assets", data=picture) as reply:
                    reply.raise_for_status()

        await asyncio.gather(*(client() for _ in range(UPLOADS_AT_ONCE)))
        await until(lambda: _count(data, OTHER_JOBS) == 0)
    made = Backlog(data, count)
    if len(list(made.spool.iterdir())) != count:
        raise RuntimeError(f"the spool has {len(list(made.spool.iterdir()))} pictures instead of {count}")
    return made


OTHER_JOBS: Final = "SELECT count(*) FROM jobs WHERE kind != 'store' AND state IN ('queued', 'running')"
WAITING: Final = "SELECT count(*) FROM jobs WHERE kind = 'store' AND state = 'running'"
COPIES: Final = "SELECT count(*) FROM copies"


@dataclass(frozen=True)
class Drained:
    """A backlog that got to the store: `seconds` from the first request to the last confirmation on record,
    processor seconds and the most memory of our process meanwhile, its memory before, in bytes."""

    seconds: float
    cpu: float
    peak: int
    before: int


async def drain(backlog: Backlog, bucket: Bucket, folder: Path, *, core: int | None = None) -> Drained:
    """Start a server on a copy of the backlog, let its store jobs begin, and wait for the last."""
    port = free_port()
    env = server(port, folder, **bucket.settings())
    data = Path(env["FERROTYPE_DATA_DIR"])
    backlog.copied_to(data)
    size = backlog.bytes
    try:
        async with process(GATED, port=port, folder=folder, env=env, core=core) as child:
            await until(lambda: _count(data, WAITING) > 0)
            await asyncio.sleep(1)  # whatever a start does afterwards
            before, used = usage.resident(child.pid), usage.cpu_seconds(child.pid)
            usage.forget_peak(child.pid)
            child.send_signal(signal.SIGUSR1)
            began = time.monotonic()
            await until(lambda: _count(data, COPIES) == backlog.count)
            seconds = time.monotonic() - began
            cpu = usage.cpu_seconds(child.pid) - used
            peak = usage.peak(child.pid)
            await until(lambda: not any((data / "spool").iterdir()))
    finally:
        shutil.rmtree(data, ignore_errors=True)
    await check(bucket, backlog.count, size)
    return Drained(seconds, cpu, peak, before)


async def check(bucket: Bucket, count: int, size: int) -> None:
    """Raises RuntimeError unless all of it is in the bucket, and nothing else."""
    sizes = await bucket.sizes()
    if (len(sizes), sum(sizes)) != (count, size):
        raise RuntimeError(f"{len(sizes)} objects of {sum(sizes)} bytes instead of {count} of {size}")


async def until(fact: object) -> None:
    """Look again and again until `fact()`. Raises TimeoutError."""
    assert callable(fact)
    deadline = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError("what should come about does not")
        await asyncio.sleep(LOOK_SECONDS)


def _count(data: Path, statement: str) -> int:
    with closing(sqlite3.connect(f"file:{data / 'ferrotype.db'}?mode=ro", uri=True)) as database:
        return int(database.execute(statement).fetchone()[0])


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
