"""Load by wrk, from a core of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile
from typing import IO, Final
from urllib.parse import urlsplit

from benchmarks.delivery.usage import cpu_seconds

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS: Final = 32
#: Seconds that a reply may take.
TIMEOUT: Final = 15
#: Tools and the Debian packages that bring them.
TOOLS: Final = {"taskset": "util-linux", "wrk": "wrk", "nginx": "nginx-light"}
MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Target:
    """What to ask one server for. `pid` is the server, of which `busy` is measured. With `more` paths of the
    same server it is asked for those in turn, after that of `url`."""

    url: str
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Sequence[str] = ()


@dataclass(frozen=True)
class Load:
    """One run. `busy` and `generator` are shares of a core: what the server used, and what wrk did."""

    rate: float
    p50_ms: float
    p99_ms: float
    busy: float
    generator: float


def path() -> str:
    """Where tools are looked for: a user's PATH often lacks the system's part."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def lacking() -> str:
    """What to install before anything can be measured here; empty when all is there."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool, path=path()) is None]
    if missing:
        return f"apt-get install {' '.join(missing)}"
    return "" if len(os.sched_getaffinity(0)) > 1 else "two cores"


def run(target: Target, seconds: int) -> Load:
    """`CONNECTIONS` connections that ask again as soon as they were answered, for `seconds`.

    Raises RuntimeError when a reply was an error, or was none.
    """
    with ExitStack() as stack:
        command = _command(target, seconds, stack)
        before, used, started = cpu_seconds(target.pid), _children(), time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=True)
    took = time.monotonic() - started
    said = done.stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk {target.url}: {said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise RuntimeError(f"wrk said something else: {said}")
    return Load(
        float(rate[1]),
        _latency(said, 50),
        _latency(said, 99),
        (cpu_seconds(target.pid) - before) / took,
        (_children() - used) / took,
    )


def _command(target: Target, seconds: int, stack: ExitStack) -> list[str]:
    """With whatever it needs until `stack` is closed."""
    command = [
        "taskset",
        "-c",
        str(LOAD_CORE),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
    ]
    for name, value in target.headers.items():
        command += ["-H", f"{name}: {value}"]
    if target.more:
        first = urlsplit(target.url)._replace(scheme="", netloc="").geturl()
        command += ["-s", stack.enter_context(_script([first, *target.more])).name]
    return [*command, target.url]


def _script(paths: Sequence[str]) -> IO[str]:
    """A file that has wrk go through the paths. It is gone when it is closed."""
    file = NamedTemporaryFile("w", prefix="ferrotype-bench-", suffix=".lua")  # noqa: SIM115 - the caller does
    listed = ", ".join(json.dumps(path) for path in paths)
    file.write(f"local paths = {{{listed}}}\nlocal at = 0\n")
    file.write("request = function() at = at % #paths + 1; return wrk.format(nil, paths[at]) end\n")
    file.flush()
    return file


def version(tool: str, option: str) -> str:
    """The first line that the tool says of itself, without its licence."""
    command = [str(shutil.which(tool, path=path())), option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = (done.stderr + done.stdout).strip().splitlines()[0]
    return line.removeprefix("nginx version: ").partition(" Copy")[0]


def _latency(said: str, percent: int) -> float:
    found = re.search(rf"\b{percent}%\s+([\d.]+)(us|ms|s)", said)
    if found is None:
        raise RuntimeError(f"wrk said something else: {said}")
    return float(found[1]) * MS[found[2]]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
