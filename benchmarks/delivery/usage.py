"""What a process and all that it started use of the processor and of memory (Linux, proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
KIB = 1024


def cpu_seconds(pid: int) -> float:
    """Processor seconds so far, all threads: utime and stime."""
    ticks = 0
    for member in family(pid):
        fields = _stat(member)
        ticks += int(fields[11]) + int(fields[12]) if fields else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes in memory now; what processes share counts once for each."""
    return sum(_status(member, "VmRSS") for member in family(pid))


def forget_peak(pid: int) -> None:
    """Let `peak` start from here."""
    for member in family(pid):
        with suppress(OSError):
            (PROC / str(member) / "clear_refs").write_text("5")


def peak(pid: int) -> int:
    """The most bytes that were in memory since `forget_peak`: the kernel's own mark, so nothing between two
    looks is lost. Of several processes the marks are added, though they may not have been reached at once."""
    return sum(_status(member, "VmHWM") for member in family(pid))


def family(pid: int) -> Iterator[int]:
    """The process, its children, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        member = waiting.pop()
        yield member
        waiting += children.get(member, [])


def _stat(pid: int) -> list[str]:
    """The fields after the name; the first is the state. Empty when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _status(pid: int, name: str) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith(f"{name}:")), 0)
