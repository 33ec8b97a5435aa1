"""Variants that nobody has asked for yet, beside ipx (sharp) and thumbor (Pillow), on all cores."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
import pyvips

from benchmarks.delivery import asking, parts, peers, race, usage
from benchmarks.delivery.asking import Timed
from benchmarks.delivery.pictures import jpegs, pngs
from benchmarks.delivery.race import OURS
from benchmarks.processes import python
from benchmarks.report import Figure, Grid, Result, console, percentile

ROUNDS: Final = 3
#: One request at a time for so long, then `AT_ONCE`; and so many at least, where one takes long.
ALONE_SECONDS: Final = 2.0
CROWD_SECONDS: Final = 4.0
AT_ONCE: Final = 4
LEAST_ALONE: Final = 2
PNGS, JPEGS = 24, 3
SIDE: Final = 1024
PHOTO: Final = (6000, 4000)
#: Widths differ by up to so many pixels, in turn, so that no two requests are the same.
SPREAD: Final = 40
#: What sharp and Pillow try when nothing is said.
EFFORT: Final = 4
EQUAL, IPX, THUMBOR = f"ours, effort {EFFORT}", "ipx", "thumbor"
PROCESSES: Final = 2
#: Requests whose replies are compared.
ALIKE: Final = 3
LARGER: Final = 1.1


@dataclass(frozen=True)
class Kind:
    """What is asked. `quality` is ours, `theirs` what looks the same on the scale of the others' encoder;
    `wanted` are the targets against each peer."""

    name: str
    files: Sequence[Path]
    width: int
    format: str
    quality: int
    theirs: int
    wanted: dict[str, float]

    def requests(self) -> Iterator[tuple[Path, int]]:
        """Files and widths, each pair once. Raises RuntimeError after the last."""
        for step in range(2 * SPREAD + 1):
            for file in self.files:
                yield file, self.width + (step + 1) // 2 * (1 if step % 2 else -1)
        raise RuntimeError(f"{self.name}: every variant was made already; more sources are needed")


@dataclass
class Server:
    """One that is measured, and what came of it: for each kind a `Timed` of each round."""

    pid: int
    base: str
    #: Bytes in memory before the first request.
    rest: int = 0
    urls: dict[Path, str] = field(default_factory=dict)
    alone: dict[str, list[Timed]] = field(default_factory=dict)
    crowd: dict[str, list[Timed]] = field(default_factory=dict)
    #: Processor seconds for each picture, and the most bytes in memory, in each round.
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[int]] = field(default_factory=dict)
    examples: dict[str, list[bytes]] = field(default_factory=dict)
    waiting: dict[str, Iterator[str]] = field(default_factory=dict)

    def url(self, kind: Kind, file: Path, width: int) -> str:
        if file in self.urls:
            return f"{self.urls[file]}?w={width}&format={kind.format}&q={kind.quality}"
        if self.base.endswith("/unsafe"):
            filters = f"format({kind.format}):quality({kind.theirs})"
            return f"{self.base}/{width}x0/filters:{filters}/{file.name}"
        return f"{self.base}/w_{width},f_{kind.format},q_{kind.theirs}/{file.name}"


async def measure() -> Result:
    """Every server in turn, several times, for each kind."""
    ipx, thumbor = peers.available("ipx", peers.node), peers.available("thumbor", peers.venv)
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        folder = Path(name)
        root = folder / "pictures"
        root.mkdir()
        with console.status("making pictures"):
            kinds = _kinds(root)
        async with _servers(folder, root, ipx, thumbor) as servers, asking.session() as http:
            for kind in kinds:
                for server in servers.values():
                    await _begin(http, server, kind)
                await _rounds(http, servers, kind)
        alike = {kind.name: _likeness(servers, kind) for kind in kinds}
    return _result(servers, kinds, alike, ipx, thumbor)


def _kinds(root: Path) -> list[Kind]:
    small = list(pngs(root, PNGS, SIDE))
    large = list(jpegs(root, JPEGS, *PHOTO))
    return [
        Kind("1024 PNG → 512 WebP", small, 512, "webp", 80, 80, {IPX: 1.5, EQUAL: 1.0, THUMBOR: 1.7}),
        Kind("24 MP JPEG → 800 WebP", large, 800, "webp", 80, 80, {IPX: 1.0, THUMBOR: 1.0}),
        # Our 80 is the encoder's 60 (imaging/encode.py).
        Kind("1024 PNG → 512 AVIF", small, 512, "avif", 80, 60, {IPX: 1.0, THUMBOR: 1.0}),
    ]


@asynccontextmanager
async def _servers(
    folder: Path, root: Path, ipx: Path | None, thumbor: Path | None
) -> AsyncIterator[dict[str, Server]]:
    """Ours with its default settings, ours with their effort, and the peers that there are."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        servers = {}
        effort = python("benchmarks.delivery.launch.effort", str(EFFORT))
        for name, launcher in ((OURS, ()), (EQUAL, effort)):
            running = await stack.enter_async_context(parts.ours(folder, launcher=launcher))
            servers[name] = Server(running.pid, running.url)
            for file in sorted(root.iterdir()):
                servers[name].urls[file] = await parts.upload(http, running, file)
        if ipx:
            running = await stack.enter_async_context(parts.ipx(folder, ipx, root))
            servers[IPX] = Server(running.pid, running.url)
        if thumbor:
            running = await stack.enter_async_context(parts.thumbor(folder, thumbor, root, PROCESSES))
            servers[THUMBOR] = Server(running.pid, f"{running.url}/unsafe")
        for server in servers.values():
            server.rest = usage.resident(server.pid)
        yield servers


async def _begin(http: aiohttp.ClientSession, server: Server, kind: Kind) -> None:
    """Ask for the first pictures: it warms up, and they are compared later."""
    for each in (server.alone, server.crowd, server.cpu, server.memory):
        each[kind.name] = []
    server.waiting[kind.name] = (server.url(kind, *wanted) for wanted in kind.requests())
    server.examples[kind.name] = [
        (await parts.ask(http, next(server.waiting[kind.name]))).body for _ in range(ALIKE)
    ]


async def _rounds(http: aiohttp.ClientSession, servers: dict[str, Server], kind: Kind) -> None:
    for number in range(ROUNDS):
        for name in race.turned(list(servers), number):
            with console.status(f"{kind.name}: round {number + 1} of {ROUNDS}, {name}"):
                await _turn(http, servers[name], kind)


async def _turn(http: aiohttp.ClientSession, server: Server, kind: Kind) -> None:
    urls = server.waiting[kind.name]
    usage.forget_peak(server.pid)
    alone = await asking.for_seconds(http, urls, 1, ALONE_SECONDS, LEAST_ALONE)
    before = usage.cpu_seconds(server.pid)
    crowd = await asking.for_seconds(http, urls, AT_ONCE, CROWD_SECONDS, AT_ONCE)
    server.cpu[kind.name].append((usage.cpu_seconds(server.pid) - before) / len(crowd.statuses))
    server.memory[kind.name].append(usage.peak(server.pid))
    server.alone[kind.name].append(alone)
    server.crowd[kind.name].append(crowd)
    if server.urls and {"render"} != {*alone.levels, *crowd.levels}:
        raise RuntimeError(f"{kind.name}: these came not all from the renderer: {set(crowd.levels)}")


def _likeness(servers: dict[str, Server], kind: Kind) -> dict[str, float]:
    """Mean PSNR against the picture before it was encoded, in dB."""
    wanted = [request for request, _ in zip(kind.requests(), range(ALIKE), strict=False)]
    references = [pyvips.Image.thumbnail(str(file), width).copy_memory() for file, width in wanted]
    return {
        name: sum(
            _psnr(made, reference)
            for made, reference in zip(server.examples[kind.name], references, strict=True)
        )
        / ALIKE
        for name, server in servers.items()
    }


def _psnr(made: bytes, reference: Any) -> float:
    image = pyvips.Image.new_from_buffer(made, "")
    if (image.width, image.height) != (reference.width, reference.height):
        raise RuntimeError(f"{image.width} x {image.height} is another size than was asked for")
    return 10 * math.log10(255**2 / ((image.extract_band(0, n=3) - reference) ** 2).avg())


def _pooled(rounds: Sequence[Timed], share: float) -> float:
    return percentile([each for timed in rounds for each in timed.latencies], share) * 1e3


def _result(
    servers: dict[str, Server],
    kinds: Sequence[Kind],
    alike: dict[str, dict[str, float]],
    ipx: Path | None,
    thumbor: Path | None,
) -> Result:
    result = Result(
        "delivery_cold",
        "Variants that are not there yet: beside ipx and thumbor",
        f"{PNGS} PNG files of {SIDE} x {SIDE} and {JPEGS} JPEG files of {PHOTO[0]} x {PHOTO[1]} pixels (soft"
        " light, edges, texture and some grain, from fixed seeds) become WebP and AVIF files of about 512"
        f" and 800 pixels: the widths differ by up to {SPREAD}, so that no two requests are the same. Every"
        f" server gets the same requests in the same order, on all cores, {ROUNDS} rounds in turn, each"
        f" request on a connection of its own: first one at a time for {ALONE_SECONDS:g} s, then {AT_ONCE} at"
        f" a time for {CROWD_SECONDS:g} s. WebP at quality 80 everywhere; AVIF at the encoder's 60 everywhere"
        f" (our `q=80`). Ours runs with its default settings, so that it also keeps what it made; *{EQUAL}*"
        " is the same with the effort that sharp and Pillow take by default. ipx is started by its own"
        f" command, with sharp's defaults; thumbor with {PROCESSES} processes, a file loader and no storage:"
        " neither keeps anything.",
    )
    for kind in kinds:
        rates = {name: [timed.rate for timed in server.crowd[kind.name]] for name, server in servers.items()}
        sizes = {name: sum(map(len, server.examples[kind.name])) / ALIKE for name, server in servers.items()}
        result.figures += _figures(kind, rates, sizes)
        result.grids.append(_grid(kind, servers, rates, sizes, alike[kind.name]))
        result.raw[kind.name] = {
            name: {
                "rates": rates[name],
                "alone": [timed.latencies for timed in server.alone[kind.name]],
                "crowd": [timed.latencies for timed in server.crowd[kind.name]],
                "cpu": server.cpu[kind.name],
                "memory": server.memory[kind.name],
            }
            for name, server in servers.items()
        }
    result.notes += [
        "Bytes and PSNR are means of the same three pictures; PSNR is against libvips's own thumbnail before"
        " it is encoded, in dB: higher is nearer.",
        "Memory is the kernel's own mark of the most that was resident, in MB, all processes added; the"
        " largest of the rounds; in brackets what was resident before the first request for a"
        " variant, when ours had accepted all the pictures and kept some in its memory cache.",
        f"Ours: libvips {'.'.join(str(pyvips.version(part)) for part in range(3))} (pyvips-binary); peers:"
        f" {peers.node_versions(ipx, 'ipx', 'sharp') if ipx else 'no ipx'},"
        f" {peers.python_versions(thumbor, 'thumbor', 'pillow') if thumbor else 'no thumbor'}.",
    ]
    return result


def _figures(kind: Kind, rates: dict[str, list[float]], sizes: dict[str, float]) -> Iterator[Figure]:
    for name, wanted in kind.wanted.items():
        if name == EQUAL and IPX in rates:
            ratio = race.median(race.ratios(rates[EQUAL], rates[IPX]))
            yield Figure(f"{kind.name}: {EQUAL} / {IPX}", ratio, "×", wanted, at_most=False)
        elif name in rates:
            ratio = race.median(race.ratios(rates[OURS], rates[name]))
            yield Figure(f"{kind.name}: ours / {name}", ratio, "×", wanted, at_most=False)
    if IPX in rates:
        yield Figure(f"{kind.name}: bytes, ours / {IPX}", sizes[OURS] / sizes[IPX], "×", LARGER)


def _grid(
    kind: Kind,
    servers: dict[str, Server],
    rates: dict[str, list[float]],
    sizes: dict[str, float],
    alike: dict[str, float],
) -> Grid:
    rows = []
    for name, server in servers.items():
        alone, crowd = server.alone[kind.name], server.crowd[kind.name]
        rows.append(
            [
                name,
                f"{race.median(rates[name]):.1f}",
                race.spread(race.ratios(rates[OURS], rates[name])) if name != OURS else "",
                f"{_pooled(alone, 0.5):.0f}",
                f"{_pooled(crowd, 0.5):.0f}",
                f"{_pooled(crowd, 0.99):.0f}",
                f"{race.median(server.cpu[kind.name]) * 1e3:.0f}",
                f"{max(server.memory[kind.name]) / 1e6:.0f} ({server.rest / 1e6:.0f})",
                f"{sizes[name]:,.0f}",
                f"{alike[name]:.1f}",
            ]
        )
    header = ["", "pictures/s", "ours / it", "p50 ms, alone", "p50 ms", "p99 ms", "processor ms", "memory MB"]
    return Grid(kind.name, [*header, "bytes", "PSNR"], rows)
