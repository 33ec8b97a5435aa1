"""A gallery of 25,000 pictures: how long its timeline, its pages, its search and its facets take."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
from tests.gallery.many import fill

from benchmarks import processes
from benchmarks.processes import free_port, process, python
from benchmarks.report import Figure, Grid, Result, console, percentile
from ferrotype.db.migrate import migrate
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.clock import SystemClock
from ferrotype.services.credits import Accounts

PICTURES: Final = 25_000
ROUNDS: Final = 30
#: What a person does not notice while scrolling or typing, in milliseconds.
WANTED_MS: Final = 60.0
QUERIES: Final = {
    "timeline": "/v1/gallery/timeline?tz=60",
    "timeline, one model": "/v1/gallery/timeline?model=openai/gpt-image",
    "timeline, two words": "/v1/gallery/timeline?q=otters+fog",
    "timeline, a word that is nowhere": "/v1/gallery/timeline?q=zeppelin",
    "timeline, a tag": "/v1/gallery/timeline?tag=spring",
    "timeline, one seed": "/v1/gallery/timeline?seed=7000",
    "timeline, a month": "/v1/gallery/timeline?from={month}-01&to={month}-28",
    "timeline, the bin": "/v1/gallery/timeline?deleted=true",
    "first 100": "/v1/gallery?limit=100",
    "100 in the middle": "/v1/gallery?limit=100&date={day}&offset=5&beyond=true&until={newest}",
    "100 after number 20,000": "/v1/gallery?limit=100&date={first}&offset=20000&beyond=true",
    "first 100 of two words": "/v1/gallery?limit=100&q=otters+fog",
    "first 100 in another script": "/v1/gallery?limit=100&q=%D0%9A%D0%9E%D0%A2",
    "first 100 of a style and a ratio": "/v1/gallery?limit=100&style=3d&aspect_ratio=9:16",
    "facets": "/v1/gallery/facets",
    "facets of two words": "/v1/gallery/facets?q=otters+fog",
}


async def measure() -> Result:
    """Fill a database, then ask a server over HTTP, one question after the other."""
    result = Result(
        "gallery_api",
        f"A gallery of {PICTURES:,} pictures",
        f"{PICTURES:,} pictures of about {PICTURES // 2.4:,.0f} generations over 400 days lie in SQLite, with"
        " prompts of about 130 characters, placeholders and orders of the usual size. A server of our own is"
        f" asked over HTTP on loopback, one question at a time, {ROUNDS} times each; the time ends with the"
        " last byte of the answer. The first round of each is not counted. Busy is the processor time"
        " that the server took for one answer: what is left of the time on a quiet machine.",
    )
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        env = processes.server(port, folder)
        began = time.perf_counter()
        await _fill(Path(env["FERROTYPE_DATA_DIR"]))
        console.print(f"filled in {time.perf_counter() - began:.1f} s")
        async with (
            process(python("ferrotype", "serve"), port=port, folder=folder, env=env) as child,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            await _ask(result, http, child.pid)
    return result


async def _fill(data: Path) -> None:
    data.mkdir()
    path = data / "ferrotype.db"
    await migrate(f"sqlite:///{path}")
    database = SqliteDatabase(path)
    try:
        account_id = await Accounts(database, SystemClock()).open_default(1_000)
        await fill(database, account_id, PICTURES, folder=data / "assets")
    finally:
        await database.close()


async def _ask(result: Result, http: aiohttp.ClientSession, pid: int) -> None:
    async with http.get("/v1/gallery/timeline") as reply:
        told = await reply.json()
    assert told["total"] == PICTURES, told["total"]
    days = [section["date"] for section in told["sections"]]
    known = {
        "newest": told["newest"],
        "first": days[0],
        "day": days[len(days) // 2],
        "month": days[len(days) // 2][:7],
    }
    rows = []
    for what, path in QUERIES.items():
        times, size, busy = [], 0, 0.0
        for turn in range(ROUNDS + 1):
            began = time.perf_counter()
            async with http.get(path.format(**known)) as reply:
                size = len(await reply.read())
                assert reply.status == 200, what
            if turn:
                times.append((time.perf_counter() - began) * 1000)
            else:
                busy = _busy_ms(pid)
        busy = (_busy_ms(pid) - busy) / ROUNDS
        p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
        result.figures.append(Figure(f"{what}, p50", p50, "ms", WANTED_MS))
        rows.append([what, f"{p50:.1f} ms", f"{p95:.1f} ms", f"{busy:.1f} ms", f"{size / 1024:,.0f} KiB"])
        console.print(f"{what}: {p50:.1f} ms, p95 {p95:.1f} ms, {busy:.1f} ms busy, {size / 1024:.0f} KiB")
    result.grids.append(Grid("Answers", ["question", "p50", "p95", "server busy", "bytes"], rows))


def _busy_ms(pid: int) -> float:
    """Processor time of a process so far (proc(5): utime and stime), in milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")
