"""Servers in turn on one core, round after round, compared within each round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from benchmarks.delivery.wrk import Load, Target, run
from benchmarks.report import Grid, console, percentile

OURS: Final = "ours"
#: A server's core above this is taken as full, and so is that of wrk.
FULL: Final = 0.9

#: Kind of reply -> server -> a run for each round.
Loads = Mapping[str, Mapping[str, Sequence[Load]]]


async def race(
    kinds: Mapping[str, Mapping[str, Target]],
    rounds: int,
    seconds: int,
    after: Callable[[str], Awaitable[None]] | None = None,
) -> Loads:
    """Each round asks every server of every kind; who is first changes from round to round. `after` is called
    with the kind each time that ours was asked."""
    loads: dict[str, dict[str, list[Load]]] = {
        kind: {name: [] for name in targets} for kind, targets in kinds.items()
    }
    for number in range(rounds):
        for kind, targets in kinds.items():
            for name in turned(list(targets), number):
                with console.status(f"round {number + 1} of {rounds}: {kind}, {name}"):
                    loads[kind][name].append(await asyncio.to_thread(run, targets[name], seconds))
                if after and name == OURS:
                    await after(kind)
    return loads


def turned(names: list[str], number: int) -> list[str]:
    """The same names, another one first."""
    turn = number % len(names)
    return names[turn:] + names[:turn]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours / theirs, round by round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def median(values: Sequence[float]) -> float:
    """The middle one; of an even number the lower of the two."""
    return percentile(values, 0.5)


def rates(loads: Sequence[Load]) -> list[float]:
    return [load.rate for load in loads]


def paired(by_server: Mapping[str, Sequence[Load]]) -> dict[str, list[float]]:
    """For each peer: our rate / its, round by round."""
    mine = rates(by_server[OURS])
    return {name: ratios(mine, rates(runs)) for name, runs in by_server.items() if name != OURS}


def spread(values: Sequence[float]) -> str:
    """Median, and in brackets the lowest and the highest."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def table(title: str, loads: Loads, labels: Mapping[str, str]) -> Grid:
    """One row for each kind and server."""
    header = [
        "reply",
        "server",
        "req/s",
        "ours / it",
        "of processor",
        "p50 ms",
        "p99 ms",
        "core, %",
        "wrk's, %",
    ]
    rows = []
    for kind, by_server in loads.items():
        pairs = paired(by_server)
        for name, runs in by_server.items():
            used = ratios(*([load.rate / load.busy for load in each] for each in (by_server[OURS], runs)))
            rows.append(
                [
                    labels.get(kind, kind) if name == OURS else "",
                    name,
                    f"{median(rates(runs)):,.0f}",
                    spread(pairs[name]) if name in pairs else "",
                    f"{median(used):.2f}" if name in pairs else "",
                    f"{median([load.p50_ms for load in runs]):.2f}",
                    f"{median([load.p99_ms for load in runs]):.1f}",
                    f"{median([load.busy for load in runs]) * 100:.0f}",
                    f"{median([load.generator for load in runs]) * 100:.0f}",
                ]
            )
    return Grid(title, header, rows)


def remarks(loads: Loads) -> list[str]:
    """How to read the table, and which servers the load could not fill."""
    said = [
        "In brackets: the lowest and the highest ratio of one round. Where they lie on both sides of the"
        " target, the verdict is not certain. *Of processor* compares requests per second of processor that"
        " the server used, which others on the machine disturb less."
    ]
    free = [
        f"{kind}, {name} ({median([load.busy for load in runs]):.0%})"
        for kind, by_server in loads.items()
        for name, runs in by_server.items()
        if median([load.busy for load in runs]) < FULL
    ]
    if free:
        said.append(f"Rates that are lower bounds, since the server's core was not full: {'; '.join(free)}.")
    limited = [
        f"{kind}, {name}"
        for kind, by_server in loads.items()
        for name, runs in by_server.items()
        if median([load.generator for load in runs]) >= FULL
    ]
    said.append(
        f"wrk's core was full, so that it was the limit: {'; '.join(limited)}."
        if limited
        else "wrk was never the limit: its core was never full."
    )
    return said


def raw(loads: Loads) -> dict[str, Any]:
    """Every run, for the JSON."""
    return {
        kind: {name: [asdict(load) for load in runs] for name, runs in by_server.items()}
        for kind, by_server in loads.items()
    }
