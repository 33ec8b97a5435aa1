"""`python -m benchmarks [name ...]`: run, print, and write `benchmarks/results`."""

from __future__ import annotations

import argparse
import asyncio
import time

import uvloop

from benchmarks import (
    batch,
    batches,
    chaos,
    events,
    exists_to_served,
    gallery_api,
    prescale,
    reuse,
    similar,
    studio,
    submit_to_provider,
)
from benchmarks.delivery import cold, crowd, hits, levels, soak
from benchmarks.report import Others, console, load, render, save, show
from benchmarks.store import latency as store_latency
from benchmarks.store import memory as store_memory
from benchmarks.store import throughput as store_throughput

BENCHMARKS = {
    "exists_to_served": exists_to_served.measure,
    "submit_to_provider": submit_to_provider.measure,
    "batch": batch.measure,
    "batches": batches.measure,
    "events": events.measure,
    "prescale": prescale.measure,
    "delivery_hits": hits.measure,
    "delivery_levels": levels.measure,
    "delivery_cold": cold.measure,
    "delivery_crowd": crowd.measure,
    "delivery_soak": soak.measure,
    "similar": similar.measure,
    "reuse": reuse.measure,
    "gallery_api": gallery_api.measure,
    "studio": studio.measure,
    "store_throughput": store_throughput.measure,
    "store_latency": store_latency.measure,
    "store_memory": store_memory.measure,
    "chaos": chaos.measure,
}
#: Several by one word.
GROUPS = {
    group: [name for name in BENCHMARKS if name.startswith(f"{group}_")] for group in ("delivery", "store")
}
#: Above this the machine is busy with something else and figures mean little.
QUIET = 0.7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*BENCHMARKS, *GROUPS, []],
        metavar="name",
        help=", ".join([*BENCHMARKS, *GROUPS]),
    )
    asked = parser.parse_args().names or list(BENCHMARKS)
    names = list(dict.fromkeys(each for name in asked for each in GROUPS.get(name, [name])))
    before = load()
    if before > QUIET:
        console.print(f"[yellow]The machine is busy (load {before}): take these figures with care.[/]")
    for name in names:
        started, others = time.monotonic(), Others()
        console.rule(name)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(BENCHMARKS[name]())
        if result is None:
            continue
        show(result)
        used = others.cores()
        console.print(
            f"[dim]{time.monotonic() - started:.0f} s; other processes used {used} cores meanwhile[/]"
        )
        save(result, before, used)
    render(list(BENCHMARKS))
    console.print("written to benchmarks/results/README.md")


if __name__ == "__main__":
    main()
