"""A backlog of pictures goes to SeaweedFS: our store jobs, rclone and the AWS CLI, in turn."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.delivery import peers, usage
from benchmarks.report import Figure, Grid, Result, console
from benchmarks.store import parts
from benchmarks.store.parts import BUCKET, KEY, SECRET, Backlog, Bucket, median

COUNT: Final = 1_000
#: 816 x 816 pixels of three bytes.
SIDE: Final = 816
ROUNDS: Final = 3
OURS: Final = "Ferrotype's store jobs"
RCLONE: Final = "rclone copy"
AWS: Final = "aws s3 cp --recursive"
#: As many uploads at once as the class `store` has seats; the AWS CLI does ten by itself.
TRANSFERS: Final = 8
LOOK_SECONDS: Final = 0.1
TARGET: Final = 0.8


@dataclass(frozen=True)
class Turn:
    """One contender's: seconds, processor seconds, and the most memory in bytes."""

    seconds: float
    cpu: float
    peak: int


async def measure() -> Result:
    """Rounds in which each contender has its turn, another one first each time."""
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        folder = Path(name)
        with console.status(f"{COUNT:,} pictures into the spool"):
            pictures = (parts.noise(number, SIDE) for number in range(COUNT))
            backlog = await parts.backlog(folder, COUNT, pictures)
        turns, befores = await _rounds(folder, backlog)
        return _result(turns, befores, backlog.bytes)


async def _rounds(folder: Path, backlog: Backlog) -> tuple[dict[str, list[Turn]], list[int]]:
    contenders = [OURS, *_peers()]
    turns: dict[str, list[Turn]] = {each: [] for each in contenders}
    befores: list[int] = []
    for number in range(ROUNDS):
        first = number % len(contenders)
        for each in [*contenders[first:], *contenders[:first]]:
            with console.status(f"round {number + 1} of {ROUNDS}: {each}"):
                async with parts.seaweed(folder) as bucket:
                    if each == OURS:
                        drained = await parts.drain(backlog, bucket, folder)
                        befores.append(drained.before)
                        turns[each].append(Turn(drained.seconds, drained.cpu, drained.peak))
                        continue
                    turns[each].append(await asyncio.to_thread(_run, *_peer(each, backlog, bucket)))
                    await parts.check(bucket, backlog.count, backlog.bytes)
    return turns, befores


def _peers() -> list[str]:
    found = []
    for name, title in (("rclone", RCLONE), ("awscli", AWS)):
        if peers.available(name, peers.venv) is not None:
            found.append(title)
    return found


def _peer(title: str, backlog: Backlog, bucket: Bucket) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command and its environment."""
    if title == RCLONE:
        program = peers.venv("rclone").with_name("rclone")
        options = ["--transfers", str(TRANSFERS), "--checkers", str(TRANSFERS), "--retries", "1", "--quiet"]
        settings = {
            "TYPE": "s3",
            "PROVIDER": "SeaweedFS",
            "ENDPOINT": bucket.url,
            "REGION": "us-east-1",
            "ACCESS_KEY_ID": KEY,
            "SECRET_ACCESS_KEY": SECRET,
            "NO_CHECK_BUCKET": "true",
        }
        there = {f"RCLONE_CONFIG_THERE_{name}": value for name, value in settings.items()}
        command = [str(program), "copy", *options, str(backlog.spool), f"there:{BUCKET}"]
        return command, {"RCLONE_CONFIG": os.devnull, **there}
    program = peers.venv("awscli").with_name("aws")
    command = [str(program), "s3", "cp", "--recursive", "--only-show-errors"]
    command += ["--endpoint-url", bucket.url, str(backlog.spool), f"s3://{BUCKET}/"]
    environ = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return command, environ


def _run(command: Sequence[str], environ: Mapping[str, str]) -> Turn:
    """From the start of the program to its end, with what the kernel counted. Raises RuntimeError."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    peak, ended, began = 0, 0, time.monotonic()
    with subprocess.Popen(command, env={**clean, **environ}) as child:
        while not ended:  # the kernel's ru_maxrss knows the process before its exec as well: that is us
            time.sleep(LOOK_SECONDS)
            peak = max(peak, usage.peak(child.pid))
            ended, status, used = os.wait4(child.pid, os.WNOHANG)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}")
    return Turn(seconds, used.ru_utime + used.ru_stime, peak)


def _result(turns: dict[str, list[Turn]], befores: list[int], size: int) -> Result:
    ours = turns[OURS]
    result = Result(
        "store_throughput",
        f"{COUNT:,} pictures of 2 MB from the spool to S3",
        f"{COUNT:,} PNGs of {size / COUNT / 1e6:.2f} MB wait in the spool, their store jobs in the queue."
        " The server runs already; a signal opens its stores, and the clock runs until the last copy is on"
        " record: hashed, looked for, uploaded, verified, journalled. The peers upload the same files from"
        f" the same folder, rclone {TRANSFERS} at once as our class `store` does, the AWS CLI ten; their"
        " clock runs from the start of the program to its end. Each has a SeaweedFS of its own with an empty"
        f" bucket, on the same cores. {ROUNDS} rounds, another one first each time; ratios are medians of"
        " those of single rounds. Afterwards all objects are counted.",
    )
    for peer in (each for each in turns if each != OURS):
        ratios = [there.seconds / here.seconds for here, there in zip(ours, turns[peer], strict=True)]
        target = TARGET if peer == RCLONE else None
        result.figures.append(Figure(f"speed beside `{peer}`", median(ratios), "×", target, at_most=False))
    seconds = median(turn.seconds for turn in ours)
    result.figures += [
        Figure("MB per second", size / seconds / 1e6, "MB/s"),
        Figure("pictures per second", COUNT / seconds, "/s"),
    ]
    grid = Grid("medians", ["", "seconds", "MB/s", "processor seconds", "peak memory MB"], [])
    for each, mine in turns.items():
        taken = median(turn.seconds for turn in mine)
        cells = (taken, size / taken / 1e6, median(turn.cpu for turn in mine))
        row = [f"{cell:,.1f}" for cell in (*cells, max(turn.peak for turn in mine) / 1e6)]
        grid.rows.append([each, *row])
    result.grids.append(grid)
    result.notes.append(
        f"Our process is the whole server, and has {median(befores) / 1e6:.0f} MB before the first goes."
    )
    result.raw = _raw(turns)
    return result


def _raw(turns: dict[str, list[Turn]]) -> dict[str, Any]:
    return {
        each: [[round(turn.seconds, 3), round(turn.cpu, 2), turn.peak] for turn in mine]
        for each, mine in turns.items()
    }
