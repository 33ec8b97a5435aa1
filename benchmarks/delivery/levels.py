"""Pictures from below the memory: the disk, the variant store, and a shared Valkey, beside the plain ways."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from redis.asyncio import Redis

from benchmarks.delivery import parts, peers, race, wrk
from benchmarks.delivery.parts import Answer, BareReply, Place, Running
from benchmarks.delivery.pictures import photo, samples
from benchmarks.delivery.race import OURS, Loads
from benchmarks.delivery.wrk import CONNECTIONS, LOAD_CORE, SERVER_CORE, Target
from benchmarks.report import Figure, Result, console

SECONDS: Final = 2
ROUNDS: Final = 5
BARE, NGINX, OLD = "bare", "nginx", "FastAPI"
#: Kinds by the level that must answer (`Server-Timing`); what each is called in the tables.
DISK, STORE, SHARED = "disk", "variants", "shared"
WORDS: Final = {DISK: "disk", STORE: "variant store", SHARED: "Valkey"}
PREFIXES: Final = {DISK: "disk", STORE: "store", SHARED: "shared"}
NO_MEMORY: Final = {"FERROTYPE_MEMORY_CACHE_BYTES": "0"}
#: One that never enters the memory, in pixels a side.
HUGE: Final = 2400
#: Transforms of the sample of 1 MB, by what they come to.
VARIANTS: Final = {
    "2 KB": "w=88&format=webp",
    "60 KB": "w=560&format=webp&q=92",
    "1 MB": "w=872&format=png",
}
#: Different ones of each size: requests at the same time for one picture would share one look-up.
PICTURES: Final = 32
#: Where the bare application has its bytes.
PLACES: Final[Mapping[str, Place]] = {DISK: "file", STORE: "file", SHARED: "valkey"}


async def measure() -> Result | None:
    """All servers in turn, several times; None with a word where a tool is missing."""
    if lack := wrk.lacking():
        console.print(f"[yellow]delivery_levels is skipped: it needs {lack}.[/]")
        return None
    fastapi = peers.available("fastapi", peers.venv)
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        async with _servers(Path(name), fastapi) as (kinds, targets), aiohttp.ClientSession() as http:
            left: dict[str, int] = {}

            async def look(name: str) -> None:
                """Whether the level still answers: one that failed under the load is left out for a while."""
                kind = kinds[name]
                answers = [await parts.ask(http, url) for url in kind.urls]
                left[name] = left.get(name, 0) + any(answer.level != kind.level for answer in answers)

            loads = await race.race(targets, ROUNDS, SECONDS, look)
    labels = {name: f"{name} ({len(kind.answers[0].body):,} bytes)" for name, kind in kinds.items()}
    return _result(loads, labels, left, fastapi)


@asynccontextmanager
async def _servers(
    folder: Path, fastapi: Path | None
) -> AsyncIterator[tuple[dict[str, Kind], dict[str, dict[str, Target]]]]:
    """The kinds by their names, and for each: server -> what to ask; all serve the same bytes."""
    root = folder / "pictures"
    root.mkdir()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        valkey = await stack.enter_async_context(parts.valkey(folder, core=LOAD_CORE))
        alone = await stack.enter_async_context(parts.ours(folder, core=SERVER_CORE, **NO_MEMORY))
        sharing = await stack.enter_async_context(
            parts.ours(folder, core=SERVER_CORE, FERROTYPE_REDIS_URL=valkey, **NO_MEMORY)
        )
        kinds = [Kind(*each) async for each in _asked(http, folder, alone, sharing)]
        for kind in kinds:
            await kind.find(http, root)
        replies = [reply for kind in kinds for reply in await _replies(kind, valkey)]
        bare = await stack.enter_async_context(parts.bare(folder, replies, valkey=valkey, core=SERVER_CORE))
        headers = kinds[0].answers[0].own_headers()
        nginx = await stack.enter_async_context(parts.nginx(folder, root, headers, core=SERVER_CORE))
        peers_of = {level: {BARE: bare, NGINX: nginx} for level in (DISK, STORE)} | {SHARED: {BARE: bare}}
        if fastapi:
            peers_of[SHARED][OLD] = await stack.enter_async_context(
                parts.old_way(folder, fastapi, valkey, core=SERVER_CORE)
            )
        targets = {kind.name: {OURS: kind.ours()} for kind in kinds}
        for kind in kinds:
            for name, peer in peers_of[kind.level].items():
                targets[kind.name][name] = kind.at(peer, "/image" if name == OLD else "")
                await kind.check(http, targets[kind.name][name])
        yield {kind.name: kind for kind in kinds}, targets


@dataclass
class Kind:
    """Some pictures of one size that our server has on one level. `answers` and `files` are in the order of
    `urls`."""

    level: str
    size: str
    server: Running
    urls: list[str]
    answers: list[Answer] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{WORDS[self.level]}, {self.size}"

    async def find(self, http: aiohttp.ClientSession, root: Path) -> None:
        """Ask until they come from the level, and keep the bytes as files. Raises RuntimeError."""
        for url in self.urls:
            answer = await parts.expect(http, url, lambda answer: answer.level == self.level)
            file = root / f"{PREFIXES[self.level]}-{self.size.replace(' ', '')}-{len(self.files)}"
            file = file.with_suffix(f".{answer.headers['content-type'].partition('/')[2]}")
            file.write_bytes(answer.body)
            self.answers.append(answer)
            self.files.append(file)

    def ours(self) -> Target:
        """To ask ourselves for all of them in turn."""
        more = [url.removeprefix(self.server.url) for url in self.urls[1:]]
        return Target(self.urls[0], self.server.pid, more=more)

    def at(self, peer: Running, prefix: str) -> Target:
        """To ask a peer for the same."""
        paths = [f"{prefix}/{file.name}" for file in self.files]
        return Target(f"{peer.url}{paths[0]}", peer.pid, more=paths[1:])

    async def check(self, http: aiohttp.ClientSession, target: Target) -> None:
        """Whether the peer serves the same bytes. Raises RuntimeError."""
        base = target.url.removesuffix(urlsplit(target.url).path)
        for answer, path in zip(self.answers, [target.url.removeprefix(base), *target.more], strict=True):
            if (await parts.ask(http, f"{base}{path}")).body != answer.body:
                raise RuntimeError(f"{base}{path} has other bytes than ours")


async def _asked(
    http: aiohttp.ClientSession, folder: Path, alone: Running, sharing: Running
) -> AsyncIterator[tuple[str, str, Running, list[str]]]:
    """What to ask whom."""
    files = samples(folder)
    huge = folder / "huge.png"
    photo(HUGE, HUGE, 7).pngsave(str(huge), compression=1, filter="all")

    async def uploads(server: Running, file: Path, count: int = PICTURES) -> list[str]:
        return [await parts.upload(http, server, file) for _ in range(count)]

    large = await uploads(alone, files["1 MB"])
    yield DISK, "60 KB", alone, await uploads(alone, files["60 KB"])
    yield DISK, "1 MB", alone, large
    yield DISK, f"{huge.stat().st_size >> 20} MB", alone, await uploads(alone, huge, 2)
    yield STORE, "60 KB", alone, [f"{url}?{VARIANTS['60 KB']}" for url in large]
    shared = await uploads(sharing, files["1 MB"])
    for size, query in VARIANTS.items():
        yield SHARED, size, sharing, [f"{url}?{query}" for url in shared]


async def _replies(kind: Kind, valkey: str) -> list[BareReply]:
    """What the bare application serves; for the others the bytes go to Valkey too, plain and as base64."""
    async with Redis.from_url(valkey) as client:
        for answer, file in zip(kind.answers, kind.files, strict=True):
            if kind.level == SHARED:
                await client.set(f"bare:{file.name}", answer.body)
                await client.set(f"image:{file.name}", base64.b64encode(answer.body))
    return [
        BareReply(
            f"/{file.name}", 200, answer.own_headers(), PLACES[kind.level], str(file), f"bare:{file.name}"
        )
        for answer, file in zip(kind.answers, kind.files, strict=True)
    ]


def _result(loads: Loads, labels: Mapping[str, str], left: Mapping[str, int], fastapi: Path | None) -> Result:
    figures = []
    for kind, by_server in loads.items():
        for name, ratios in race.paired(by_server).items():
            if name != NGINX:
                figures.append(Figure(f"{kind}: ours / {name}", race.median(ratios), "×"))
    old = peers.python_versions(fastapi, "fastapi", "uvicorn", "redis", "hiredis") if fastapi else "missing"
    return Result(
        "delivery_levels",
        "A picture from disk, from the variant store, and from a shared Valkey, on one core",
        f"wrk with {CONNECTIONS} connections on core {LOAD_CORE} for {SECONDS} s each, one server at a time"
        f" on core {SERVER_CORE}, {ROUNDS} rounds, as above; here it goes through {PICTURES} pictures of the"
        " same size (of the largest, two). Ours has no memory cache (`FERROTYPE_MEMORY_CACHE_BYTES=0`), so"
        " that each request goes to the level that is named; its `Server-Timing` said so. From Valkey come"
        " variants, since the originals of uploads are on the disk; it is on the other core, as if it were"
        " another machine. Bare is an ASGI application on the same server that sends our headers and leaves"
        " the file to the server (`pathsend`), or gets the bytes from Valkey with redis-py: it looks at no"
        " checksum, and waits for ever. FastAPI is uvicorn with base64 out of the same Valkey, decoded at"
        " each view. Files are in the page cache. Every server was seen to send exactly the same bytes.",
        figures=figures,
        grids=[race.table(f"median of {ROUNDS} rounds", loads, labels)],
        notes=[
            *race.remarks(loads),
            "After each run all were asked for once more: they came from another level in"
            f" {sum(left.values())} of {ROUNDS * len(left)} runs"
            f"{''.join(f'; {name} {count} of {ROUNDS}' for name, count in left.items() if count)}.",
            f"{parts.nginx_version()}, {wrk.version('wrk', '-v')}, FastAPI: {old}",
        ],
        raw=race.raw(loads),
    )
