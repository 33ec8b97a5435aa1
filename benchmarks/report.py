"""What was measured, on which machine, as a table while it runs, as JSON, and as one page."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT

RESULTS = Path(__file__).parent / "results"
PROC_STAT = Path("/proc/stat")
console = Console(width=120)


@dataclass(frozen=True)
class Figure:
    """One measured number, with its `target` if there is one; `at_most` says on which side of it is good."""

    what: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if (self.value <= self.target) == self.at_most or self.value == self.target else "MISSED"

    def cells(self) -> list[str]:
        """The ratio to the target first."""
        if self.target is None:
            return ["", self.what, number(self.value, self.unit), "", ""]
        bound = f"{'≤' if self.at_most else '≥'} {number(self.target, self.unit)}"
        return [
            f"{self.value / self.target:.2f}",
            self.what,
            number(self.value, self.unit),
            bound,
            self.verdict,
        ]


@dataclass
class Grid:
    """A table of details."""

    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass
class Result:
    """All of one benchmark."""

    name: str
    title: str
    method: str
    figures: list[Figure] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)


HEADER = ["of target", "what", "measured", "target", ""]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed: nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1e6) * len(ordered) // 1_000_000) - 1)]


def number(value: float, unit: str) -> str:
    """A few significant digits with the unit."""
    digits = 0 if unit == "req/s" or value == int(value) else 3 if unit == "s" else 2
    return f"{value:,.{digits}f} {unit}".strip()


def load() -> float:
    """How many processes wanted to run during the last minute."""
    return round(os.getloadavg()[0], 2)


class Others:
    """How many cores other processes used meanwhile, on average; ours are this one and its ended children."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.monotonic(), _busy_seconds(), _our_seconds()

    def cores(self) -> float | None:
        """Since the start; None where the system does not tell."""
        if not PROC_STAT.exists():
            return None
        busy, ours = _busy_seconds() - self._busy, _our_seconds() - self._ours
        return round(max(0.0, busy - ours) / (time.monotonic() - self._began), 2)


def _busy_seconds() -> float:
    """All that all cores did (proc(5): all but idle and iowait; guest is in user already)."""
    if not PROC_STAT.exists():
        return 0.0
    fields = [int(field) for field in PROC_STAT.read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")


def _our_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "data folder": _said("stat", "-f", "-c", "%T", gettempdir()) or "unknown",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {
            name: version(name) for name in ("ferrotype", "granian", "uvloop", "aiohttp", "pyvips-binary")
        },
        "commit": _said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def show(result: Result) -> None:
    """Print it."""
    for title, header, rows in _tables(result):
        table = Table(*header, title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for row in rows:
            style = "bold red" if row[-1] == "MISSED" else None
            table.add_row(*row, style=style)
        console.print(table)
    for note in result.notes:
        console.print(f"[dim]{note}[/]")


def save(result: Result, load_before: float, others: float | None) -> None:
    """Write `results/<name>.json` and the page of all results."""
    RESULTS.mkdir(exist_ok=True)
    stated = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": load_before,
        "cores_used_by_others": others,
        "machine": machine(),
    }
    text = json.dumps({**asdict(result), **stated}, indent=1, ensure_ascii=False)
    (RESULTS / f"{result.name}.json").write_text(text + "\n")


def render(names: Sequence[str]) -> None:
    """Write the page from every result there is, in the order of `names`."""
    parts = ["# Results", "", "Made by `make bench`; how is in [the method](../README.md). Do not edit.", ""]
    for name in names:
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts += _section(json.loads(path.read_text()))
    (RESULTS / "README.md").write_text("\n".join(parts))


def _section(stored: dict[str, Any]) -> list[str]:
    fields = {key: stored[key] for key in ("name", "title", "method", "notes")}
    result = Result(
        **fields,
        figures=[Figure(**item) for item in stored["figures"]],
        grids=[Grid(**item) for item in stored["grids"]],
    )
    lines = [f"## {result.title}", "", result.method, ""]
    for title, header, rows in _tables(result):
        lines += [f"**{title}**", ""] if title != result.title else []
        lines += [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows), ""]
    lines += [f"- {note}" for note in result.notes] + ([""] if result.notes else [])
    about = stored["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    return [
        *lines,
        f"{stored['measured_at']}, load {stored['load_before']} before, other processes used"
        f" {stored['cores_used_by_others']} cores meanwhile, commit {about['commit']};"
        f" {about['cpu']}, {about['cores']} cores, {about['kernel']}, data on {about['data folder']},"
        f" {about['python']}, {packages}.",
        "",
    ]


def _tables(result: Result) -> list[tuple[str, list[str], list[list[str]]]]:
    headline = (
        [(result.title, HEADER, [figure.cells() for figure in result.figures])] if result.figures else []
    )
    return [*headline, *((grid.title, grid.header, grid.rows) for grid in result.grids)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
