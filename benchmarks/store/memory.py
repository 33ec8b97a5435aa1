"""What storing takes of memory: few pictures and many, small ones and one that is large."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.report import Figure, Grid, Result, console
from benchmarks.store import parts

#: How many pictures, of how many pixels a side.
LOADS: Final = {"100 of 2 MB": (100, 816), "1,000 of 2 MB": (1_000, 816), "1 of 200 MB": (1, 8_160)}
FEW, MANY, LARGE = LOADS
FLAT: Final = 1.1
#: 40 MiB are in parts on their way (storage/object_store.py).
ONE_UPLOAD_MB: Final = 64
BOUND: Final = str(256 * 1024 * 1024)
LIMITS: Final = {"FERROTYPE_MAX_UPLOAD_BYTES": BOUND, "FERROTYPE_MAX_BODY_BYTES": BOUND}


async def measure() -> Result:
    """Each load with a fresh server, whose memory is the kernel's own mark."""
    drained: dict[str, parts.Drained] = {}
    for title, (count, side) in LOADS.items():
        with (
            TemporaryDirectory(prefix="ferrotype-bench-") as name,
            console.status(f"{title} into the spool and to the store"),
        ):
            folder = Path(name)
            pictures = (parts.noise(number, side) for number in range(count))
            backlog = await parts.backlog(folder, count, pictures, **LIMITS)
            async with parts.seaweed(folder) as bucket:
                drained[title] = await parts.drain(backlog, bucket, folder)
    grid = Grid("MB", ["", "before", "peak", "more", "seconds"], [])
    for title, each in drained.items():
        row = [each.before / 1e6, each.peak / 1e6, (each.peak - each.before) / 1e6]
        grid.rows.append([title, *(f"{cell:.0f}" for cell in row), f"{each.seconds:.1f}"])
    large = (drained[LARGE].peak - drained[LARGE].before) / 1e6
    return Result(
        "store_memory",
        "Memory while pictures go to S3",
        "A server starts with the pictures in its spool; when it has settled its stores open"
        " (as in `store_throughput`), and the kernel marks the most memory that the process has until the"
        " last copy is on record. Pictures up to 8 MiB are uploaded from memory, eight at once; larger ones"
        " stream from the disk in parts.",
        figures=[
            Figure(f"peak with {MANY} beside {FEW}", drained[MANY].peak / drained[FEW].peak, "×", FLAT),
            Figure(f"memory that {LARGE} takes beyond what the server had", large, "MB", ONE_UPLOAD_MB),
        ],
        grids=[grid],
    )
