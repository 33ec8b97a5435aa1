"""Pictures, variants and 304s out of memory, beside the bare server underneath, nginx, and the old way."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
from redis.asyncio import Redis

from benchmarks.delivery import parts, peers, race, wrk
from benchmarks.delivery.parts import Answer, BareReply, Running
from benchmarks.delivery.pictures import samples
from benchmarks.delivery.race import OURS, Loads
from benchmarks.delivery.wrk import CONNECTIONS, LOAD_CORE, SERVER_CORE, Target
from benchmarks.report import Figure, Result, console

SECONDS: Final = 2
ROUNDS: Final = 5
WANTED: Final = 0.85
OLD_WANTED: Final = 3.5
BARE, NGINX, OLD = "bare", "nginx", "FastAPI"
VARIANT, NEGOTIATED, NOT_MODIFIED = "a variant", "a negotiated variant", "304"
#: What a browser of today says, as far as our answer here depends on it.
ACCEPT: Final = "image/webp,image/apng,image/*,*/*;q=0.8"
WARM: Final = 50


async def measure() -> Result | None:
    """All servers in turn, several times; None with a word where a tool is missing."""
    if lack := wrk.lacking():
        console.print(f"[yellow]delivery_hits is skipped: it needs {lack}.[/]")
        return None
    fastapi = peers.available("fastapi", peers.venv)
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        async with _servers(Path(name), fastapi) as (kinds, labels):
            loads = await race.race(kinds, ROUNDS, SECONDS)
    return _result(loads, labels, fastapi)


@asynccontextmanager
async def _servers(
    folder: Path, fastapi: Path | None
) -> AsyncIterator[tuple[dict[str, dict[str, Target]], dict[str, str]]]:
    """Kind of reply -> server -> what to ask, and what to call the kind; all serve the same bytes."""
    root = folder / "pictures"
    root.mkdir()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ours = await stack.enter_async_context(parts.ours(folder, core=SERVER_CORE))
        asked = await _urls(http, ours, folder)
        answers, kinds = {}, {}
        for kind, (url, headers) in asked.items():
            answers[kind] = await _warm(http, url, headers)
            kinds[kind] = {OURS: Target(url, ours.pid, headers)}
        files = {kind: _write(root, kind, answer) for kind, answer in answers.items() if answer.body}
        example = answers["60 KB"]
        asked_304 = {"If-None-Match": example.headers["etag"]}
        replies = [
            BareReply(
                f"/{_path(kind)}",
                answer.status,
                answer.own_headers(),
                file=str(files[kind]) if kind in files else None,
            )
            for kind, answer in answers.items()
        ]
        bare = await stack.enter_async_context(parts.bare(folder, replies, core=SERVER_CORE))
        nginx = await stack.enter_async_context(
            parts.nginx(folder, root, example.own_headers(), core=SERVER_CORE)
        )
        for kind in answers:
            kinds[kind][BARE] = Target(f"{bare.url}/{_path(kind)}", bare.pid)
            if kind in files:
                kinds[kind][NGINX] = Target(f"{nginx.url}/{files[kind].name}", nginx.pid)
        # nginx has a tag of its own for the file.
        own = await parts.ask(http, f"{nginx.url}/{files['60 KB'].name}")
        kinds[NOT_MODIFIED][NGINX] = Target(
            f"{nginx.url}/{files['60 KB'].name}", nginx.pid, {"If-None-Match": own.headers["etag"]}
        )
        kinds[NOT_MODIFIED][BARE] = Target(f"{bare.url}/304", bare.pid, asked_304)
        if fastapi:
            old = await _old(stack, folder, fastapi, answers)
            for kind in old[1]:
                kinds[kind][OLD] = Target(f"{old[0].url}/image/{_path(kind)}", old[0].pid)
        await _check(http, kinds, answers)
        labels = {
            kind: f"{kind} ({len(answer.body):,} bytes)" for kind, answer in answers.items() if answer.body
        }
        yield kinds, labels


async def _urls(
    http: aiohttp.ClientSession, ours: Running, folder: Path
) -> dict[str, tuple[str, dict[str, str]]]:
    """Kind of reply -> URL and headers."""
    urls = {kind: await parts.upload(http, ours, file) for kind, file in samples(folder).items()}
    asked: dict[str, tuple[str, dict[str, str]]] = {kind: (url, {}) for kind, url in urls.items()}
    large = urls["1 MB"]
    asked[VARIANT] = f"{large}?w=560&format=webp&q=92", {}
    asked[NEGOTIATED] = f"{large}?w=560&format=auto&q=92", {"Accept": ACCEPT}
    tag = (await parts.ask(http, urls["60 KB"])).headers["etag"]
    asked[NOT_MODIFIED] = urls["60 KB"], {"If-None-Match": tag}
    return asked


async def _warm(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> Answer:
    """The answer when it comes from memory."""
    answer = await parts.expect(http, url, lambda answer: answer.level == "memory", headers)
    for _ in range(WARM):
        answer = await parts.ask(http, url, headers)
    return answer


def _path(kind: str) -> str:
    return kind.replace(" ", "-")


def _write(root: Path, kind: str, answer: Answer) -> Path:
    file = root / f"{_path(kind)}.{answer.headers['content-type'].partition('/')[2]}"
    file.write_bytes(answer.body)
    return file


async def _old(
    stack: AsyncExitStack, folder: Path, fastapi: Path, answers: Mapping[str, Answer]
) -> tuple[Running, list[str]]:
    """The old way with the three originals in its Valkey, which is on the other core."""
    url = await stack.enter_async_context(parts.valkey(folder, core=LOAD_CORE))
    server = await stack.enter_async_context(parts.old_way(folder, fastapi, url, core=SERVER_CORE))
    kinds = ["2 KB", "60 KB", "1 MB"]
    async with Redis.from_url(url) as client:
        for kind in kinds:
            await client.set(f"image:{_path(kind)}", base64.b64encode(answers[kind].body))
    return server, kinds


async def _check(
    http: aiohttp.ClientSession,
    kinds: Mapping[str, Mapping[str, Target]],
    answers: Mapping[str, Answer],
) -> None:
    """Every server serves exactly these bytes, and the bare one our headers. Raises RuntimeError."""
    for kind, targets in kinds.items():
        wanted = answers[kind]
        for name, target in targets.items():
            got = await parts.expect(http, target.url, lambda _: True, target.headers)
            same = got.status == wanted.status and got.body == wanted.body
            if name == BARE:
                same = same and got.own_headers() == wanted.own_headers()
            if not same:
                raise RuntimeError(f"{kind}: {name} does not answer as we do: {got.status} {got.headers}")


def _result(loads: Loads, labels: Mapping[str, str], fastapi: Path | None) -> Result:
    figures = []
    for kind, by_server in loads.items():
        pairs = race.paired(by_server)
        figures.append(Figure(f"{kind}: ours / bare", race.median(pairs[BARE]), "×", WANTED, at_most=False))
        if OLD in pairs:
            target = OLD_WANTED if kind == "60 KB" else None
            figures.append(
                Figure(f"{kind}: ours / {OLD}", race.median(pairs[OLD]), "×", target, at_most=False)
            )
    old = peers.python_versions(fastapi, "fastapi", "uvicorn", "redis", "hiredis") if fastapi else "missing"
    return Result(
        "delivery_hits",
        "A picture in memory, a variant in memory, and a 304, on one core",
        f"wrk with {CONNECTIONS} connections on core {LOAD_CORE} for {SECONDS} s each, against one server at"
        f" a time on core {SERVER_CORE}, all in turn in each of {ROUNDS} rounds; the ratios are medians of"
        " those of single rounds. Bare is an ASGI application that does nothing but send constant bytes, with"
        " the very headers that ours sends, on the same server with the same options and event loop"
        " (`benchmarks/delivery/launch/bare.py`). nginx serves the same file with the same headers, by"
        " sendfile with an open-file cache, from one worker. FastAPI is the way that many applications have"
        " today: uvicorn with uvloop and httptools, and a picture as base64 in Valkey, which is decoded at"
        f" each view; its Valkey is on core {LOAD_CORE}, as if it were another machine. Ours counts and times"
        " each request. Every server was seen to send exactly the same bytes.",
        figures=figures,
        grids=[race.table(f"median of {ROUNDS} rounds", loads, labels)],
        notes=[
            *race.remarks(loads),
            f"{parts.nginx_version()}, {wrk.version('wrk', '-v')}, FastAPI: {old}",
        ],
        raw=race.raw(loads),
    )
