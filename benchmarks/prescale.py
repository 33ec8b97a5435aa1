"""A photograph of 24 megapixels made small enough for a model, against vipsthumbnail and Pillow."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import PIL
import pyvips
from PIL import Image

from benchmarks.report import Figure, Grid, Result, console, percentile
from ferrotype.domain.model import InputLimits
from ferrotype.imaging.prescale import fit, plan, prescale

WIDTH, HEIGHT = 6000, 4000
LIMITS = InputLimits(max_pixels=2_000_000)
SIZE = fit(WIDTH, HEIGHT, LIMITS.max_pixels, LIMITS.max_side)
ROUNDS = 15
WANTED = 1.1
TOOL = "vipsthumbnail"
PACKAGE = "libvips-tools"
OURS, WHOLE, ONE_THREAD, START = "ours", TOOL, f"{TOOL}, one thread", f"{TOOL}, only its start"
NET = "without its start"
CALL = "libvips's thumbnail call"
DRAFT, FULL = "Pillow, draft mode (decodes a quarter of the pixels)", "Pillow, full decode"


@dataclass
class Course:
    """One way to the smaller picture. `wall` and `cpu` are seconds per run; `size` is that of the result in
    bytes."""

    run: Callable[[], object]
    result: Path
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    size: int = 0

    def once(self) -> None:
        began, used = time.perf_counter(), _cpu()
        self.run()
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(_cpu() - used)
        self.size = self.result.stat().st_size


async def measure() -> Result | None:
    """Run them in turn, `ROUNDS` times, for a plain JPEG and for one with a profile."""
    tool = shutil.which(TOOL)
    if tool is None:
        console.print(f"[yellow]{TOOL} is missing (apt-get install {PACKAGE}).[/]")
    result = Result(
        "prescale",
        "24 MP JPEG prescaled to 2 MP",
        f"A JPEG of {WIDTH} x {HEIGHT} pixels (quality 92, 4:2:0; soft shapes of many sizes, gradients and"
        f" sensor noise, from a fixed seed) becomes one of {SIZE[0]} x {SIZE[1]} at quality {LIMITS.quality},"
        f" without metadata. Everything starts with a file and ends with a file, in memory where there is"
        f" `/dev/shm`. Ours is `plan` and `prescale` as a server calls them: in its process, on one thread."
        f" {TOOL} is a program that has to start each time and then uses every core; its start is measured"
        f" beside it, on a picture of one pixel with the same options, and taken off in the same round, which"
        f" is the stricter comparison and the one that has the target. {ROUNDS} rounds, all in turn in each;"
        f" the ratios are medians of those of single rounds.",
    )
    shm = Path("/dev/shm")
    with TemporaryDirectory(prefix="ferrotype-bench-", dir=shm if shm.is_dir() else None) as name:
        folder = Path(name)
        plain, profiled, pixel = _pictures(folder)
        courses = _courses(folder, plain, pixel, tool)
        _race(courses)
        _report(result, courses, "a plain JPEG")
        result.notes += _likeness(courses)
        tagged = _courses(folder, profiled, pixel, tool, profile=True)
        _race(tagged)
        _report(result, tagged, "a JPEG in Display P3, made sRGB")
    result.notes += _versions(tool)
    return result


def _pictures(folder: Path) -> tuple[Path, Path, Path]:
    """A photograph, the same in Display P3, and one pixel."""
    plain, profiled, pixel = (folder / f"{name}.jpg" for name in ("plain", "profiled", "pixel"))
    image = _photo().copy_memory()
    image.jpegsave(str(plain), Q=92, subsample_mode="on")
    image.icc_transform("p3", input_profile="srgb").jpegsave(
        str(profiled), Q=92, subsample_mode="on", profile="p3"
    )
    image.crop(0, 0, 1, 1).jpegsave(str(pixel))
    return plain, profiled, pixel


def _photo() -> Any:
    """Noise of every size, the larger the stronger as in nature, under a sky's gradient."""
    light: Any = pyvips.Image.xyz(WIDTH, HEIGHT)[1] * (60 / HEIGHT) + 90
    for octave, strength in enumerate((34, 26, 18, 12, 8, 5)):
        side = 6 * 4**octave
        grain = pyvips.Image.gaussnoise(side, side, sigma=strength, mean=0, seed=octave + 1)
        light += grain.resize(WIDTH / side, vscale=HEIGHT / side, kernel="cubic")
    across = pyvips.Image.xyz(WIDTH, HEIGHT)[0] * (50 / WIDTH)
    bands = [
        tint + pyvips.Image.gaussnoise(WIDTH, HEIGHT, sigma=4, mean=0, seed=seed)
        for seed, tint in enumerate((light + across - 10, light, light - across + 20), start=10)
    ]
    return bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")


def _courses(
    folder: Path, source: Path, pixel: Path, tool: str | None, *, profile: bool = False
) -> dict[str, Course]:
    """Every way there is on this machine; with `profile` only those that convert it by themselves."""
    ours, call, draft, full, theirs = (
        folder / f"{name}.jpg" for name in ("ours", "call", "draft", "full", "t")
    )
    courses = {
        OURS: Course(lambda: _ours(source, ours), ours),
        CALL: Course(lambda: _call(source, call, profile), call),
    }
    if tool is not None:
        converts = ["--export-profile", "srgb"] if profile else []

        def command(size: str, made: Path, read: Path) -> list[str]:
            written = f"{made}[Q={LIMITS.quality},strip]"
            return [tool, "--size", size, *converts, "-o", written, str(read)]

        whole = command(f"{SIZE[0]}x{SIZE[1]}!", theirs, source)
        start = command("1x1", folder / "start.jpg", pixel)
        courses |= {
            WHOLE: Course(lambda: _program(whole), theirs),
            ONE_THREAD: Course(lambda: _program(whole, VIPS_CONCURRENCY="1"), theirs),
            START: Course(lambda: _program(start), folder / "start.jpg"),
        }
    if not profile:
        courses |= {
            DRAFT: Course(lambda: _pillow(source, draft, draft_mode=True), draft),
            FULL: Course(lambda: _pillow(source, full, draft_mode=False), full),
        }
    return courses


def _ours(source: Path, target: Path) -> None:
    data = source.read_bytes()
    target.write_bytes(prescale(data, plan(data, LIMITS)))


def _call(source: Path, target: Path, profile: bool) -> None:
    """The same library's own call for this, with the settings of the process: one thread, no cache."""
    options = {"export_profile": "srgb"} if profile else {}
    image = pyvips.Image.thumbnail(str(source), SIZE[0], height=SIZE[1], size="force", **options)
    image.jpegsave(str(target), Q=LIMITS.quality, keep="none")


def _program(command: Sequence[str], **environ: str) -> None:
    subprocess.run(command, check=True, env={**os.environ, **environ}, capture_output=True)


def _pillow(source: Path, target: Path, *, draft_mode: bool) -> None:
    """In draft mode the decoder gives the smallest size that is still above the target: here half of each
    side, so that the good filter has less than a factor of two left. libvips always leaves it two."""
    with Image.open(source) as image:
        if draft_mode:
            image.draft("RGB", SIZE)
        image.resize(SIZE, Image.Resampling.LANCZOS).save(target, "JPEG", quality=LIMITS.quality)


def _race(courses: dict[str, Course]) -> None:
    """Once each to warm up the file and the code, then in turn; each round begins with another one."""
    names = list(courses)
    for course in courses.values():
        course.run()
    for number in range(ROUNDS):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            courses[name].once()


def _report(result: Result, courses: dict[str, Course], what: str) -> None:
    ours, rivals = courses[OURS], {name: course for name, course in courses.items() if name != OURS}
    judged = CALL
    if START in courses:
        start = rivals.pop(START)
        for name in (WHOLE, ONE_THREAD):
            rivals[f"{name}, {NET}"] = _net(courses[name], start)
        judged = f"{WHOLE}, {NET}"
    ratios = {name: _ratio(ours.wall, rival.wall) for name, rival in rivals.items()}
    result.figures.append(Figure(f"{what}: ours / {judged}", ratios[judged], "×", WANTED))
    result.figures += [
        Figure(f"{what}: ours / {name}", ratios[name], "×") for name in (WHOLE, DRAFT, FULL) if name in ratios
    ]
    rows = []
    for name, course in {**courses, **rivals}.items():
        row = [name, _spread(course.wall), f"{percentile(course.cpu, 0.5) * 1000:.0f}"]
        if name in rivals:
            row += [f"{ratios[name]:.2f}", f"{_ratio(ours.cpu, course.cpu):.2f}"]
        else:
            row += ["", ""]
        rows.append([*row, "" if name == START else f"{course.size:,}"])
    header = ["", "ms, median (range)", "ms of processor", "ours / it", "of processor", "bytes"]
    result.grids.append(Grid(what, header, rows))
    result.raw[what] = {name: {"wall": course.wall, "cpu": course.cpu} for name, course in courses.items()}


def _net(whole: Course, start: Course) -> Course:
    """What is left of each run without the start that was measured in the same round."""
    wall, cpu = (
        [a - b for a, b in zip(of_whole, of_start, strict=True)]
        for of_whole, of_start in ((whole.wall, start.wall), (whole.cpu, start.cpu))
    )
    return Course(whole.run, whole.result, wall, cpu, whole.size)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios of single rounds."""
    return percentile([a / b for a, b in zip(ours, theirs, strict=True)], 0.5)


def _spread(seconds: Sequence[float]) -> str:
    return f"{percentile(seconds, 0.5) * 1000:.0f} ({min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f})"


def _likeness(courses: dict[str, Course]) -> list[str]:
    """How far the others' pictures are from ours: who decodes less would be faster."""
    ours = pyvips.Image.new_from_file(str(courses[OURS].result))
    told = []
    for name in (WHOLE, CALL, DRAFT, FULL):
        if name in courses:
            theirs = pyvips.Image.new_from_file(str(courses[name].result))
            if (theirs.width, theirs.height) != (ours.width, ours.height):
                told.append(f"{name}: {theirs.width} x {theirs.height}")
                continue
            told.append(f"{name} {(ours - theirs).abs().avg():.2f}")
    return [f"Mean difference from our picture, of 255: {'; '.join(told)}."]


def _versions(tool: str | None) -> list[str]:
    library = ".".join(str(pyvips.version(part)) for part in range(3))
    here = f"Ours and libvips's own call: libvips {library}, libjpeg and SIMD as pyvips-binary brings them."
    pillow = f"Pillow {PIL.__version__}, one thread."
    if tool is None:
        return [here, f"{TOOL} was not to be had here: the target is held against the library's own call."]
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.split()[0]
    return [here, f"{TOOL}: {said} (Debian's {PACKAGE}).", pillow]


def _cpu() -> float:
    """Processor seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
