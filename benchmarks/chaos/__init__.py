"""Many orders over three services while one dies, one limits its rate, one makes garbage, and we are killed.

`stage` has the processes and what happens to them, `client` who orders, `facts` what is known afterwards,
`checks` what must hold of it, `tables` what is shown; `rounds` plays one round.
"""

from __future__ import annotations

from benchmarks.chaos.facts import WORDS, Round
from benchmarks.chaos.rounds import CLIENTS, ORDERS, Verdict, play
from benchmarks.chaos.stage import BACK, DIES, GARBAGE, KILLED, RATE, SETTINGS, WORK_SECONDS
from benchmarks.launch.troubled import RETRY_AFTER
from benchmarks.report import Figure, Grid, Result, console, percentile, show

ROUNDS = (
    Round(dies="replicate", limits="fal", garbles="openai", forgets=True),
    Round(dies="fal", limits="openai", garbles="replicate", forgets=False),
    Round(dies="openai", limits="replicate", garbles="fal", forgets=True),
)


async def measure() -> Result:
    """Every round. Raises RuntimeError, with the tables shown, when a promise was broken."""
    verdicts = []
    for number, part in enumerate(ROUNDS, 1):
        with console.status(f"round {number}: {part}"):
            verdicts.append(await play(part))
    result = _result(verdicts)
    broken = [check for verdict in verdicts for check in verdict.checks if check.broken]
    if broken:
        show(result)
        told = "\n".join(f"{check.what}: {line[:500]}" for check in broken for line in check.broken[:5])
        raise RuntimeError(f"promises were broken\n{told}")
    return result


def _result(verdicts: list[Verdict]) -> Result:
    result = Result(
        "chaos",
        f"{ORDERS} orders over three services while one dies, one limits, one makes garbage",
        f"{CLIENTS} clients order {ORDERS} times one picture, every fifth time two, of one model that the"
        " simulators of Replicate (asked again and again), fal (a queue with a stream of states) and an"
        " OpenAI-compatible server (the answer is the picture) serve with equal weight; a picture takes"
        f" {WORK_SECONDS:g} to {2 * WORK_SECONDS:g} s there. When {DIES:.0%} of the orders have ended one"
        f" service dies, and at {BACK:.0%} it is back: killed with SIGKILL and back with nothing of what it"
        f" knew, or out of reach while it works on. Another takes {RATE} orders a second and answers 429 with"
        f" `Retry-After: {RETRY_AFTER}` above. The third makes garbage of {GARBAGE:.0%} of its orders"
        f" ({', '.join(WORDS.values())}), and of as many of its other answers and files. At {KILLED:.0%}"
        " Ferrotype itself is killed with SIGKILL and started again. Clients send idempotency keys and send"
        " again what got no answer; every tenth hangs up on purpose. Each service writes a line to a file"
        " before it begins work: that is what was paid. At the end every envelope, every attempt, every"
        " picture, the account and our log are compared with these files; one broken promise fails the"
        " benchmark."
        f" `{'`, `'.join(f'{key}={value}' for key, value in SETTINGS.items() if 'LOG' not in key)}`.",
    )
    header = ["", *(f"round {number}" for number in range(1, len(verdicts) + 1))]
    latencies = [second for verdict in verdicts for second in verdict.latencies]
    rate = sum(verdict.orders for verdict in verdicts) / sum(verdict.seconds for verdict in verdicts)
    result.figures += [
        Figure("generations per second", rate, "/s"),
        Figure("order to its end, p50", percentile(latencies, 0.5), "s"),
        Figure("order to its end, p99", percentile(latencies, 0.99), "s"),
    ]
    for title in verdicts[0].tables:
        labels = list(dict.fromkeys(label for verdict in verdicts for label in verdict.tables[title]))
        rows = [[label, *(verdict.tables[title].get(label, "") for verdict in verdicts)] for label in labels]
        result.grids.append(Grid(title, header, rows))
    result.raw = {
        f"round {number}": {"latencies": [round(second, 3) for second in verdict.latencies]}
        for number, verdict in enumerate(verdicts, 1)
    }
    return result
