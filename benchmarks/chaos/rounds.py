"""One round from its first order to its judgement."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.chaos.checks import Check, promises
from benchmarks.chaos.client import PAUSE, Client
from benchmarks.chaos.facts import Facts, File, Order, Round
from benchmarks.chaos.stage import GRANTED, Progress, stage
from benchmarks.chaos.tables import endings, events, ledger, rates

ORDERS = 500
CLIENTS = 24
#: Seconds after which a round that stands still is given up.
PATIENCE = 180.0


@dataclass
class Verdict:
    """A round, judged. `tables`: by title, each row's label and its value."""

    orders: int
    seconds: float
    latencies: list[float]
    checks: list[Check]
    tables: dict[str, dict[str, str]]


async def play(part: Round, orders: int = ORDERS) -> Verdict:
    """One round, judged. Raises RuntimeError when it stands still."""
    progress = Progress(orders)
    try:
        async with asyncio.timeout(PATIENCE):
            return judge(await _played(part, progress))
    except TimeoutError:
        raise RuntimeError(f"{part}: it stands still, {progress.ended} of {orders} orders ended") from None


async def _played(part: Round, progress: Progress) -> Facts:
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with stage(part) as made, aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        client, numbers = Client(made.url, http), iter(range(progress.of))
        placed: list[Order] = []

        async def customer() -> None:
            for number in numbers:
                placed.append(await client.order(number))
                await progress.step()

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            troubles = group.create_task(made.trouble(progress))
            for _ in range(CLIENTS):
                group.create_task(customer())
        seconds = time.monotonic() - began
        away, down = troubles.result()
        await _each(placed, lambda order: _settled(client, order))
        await _each(placed, lambda order: _look(client, order))
        replayed = sum(await _each(placed, client.replay))
        listed = await _listed(client)
        await made.server.stop()
        balance = await made.balance()
        return Facts(
            part=part,
            orders=placed,
            bills=made.bills(),
            away=away,
            down=down,
            balance=balance,
            granted=GRANTED,
            listed=listed,
            replayed=replayed,
            repeated=client.repeated,
            errors=made.errors(),
            seconds=seconds,
        )


async def _each(orders: list[Order], what: Callable[[Order], Awaitable[Any]]) -> list[Any]:
    """`what` of every order, some at once."""
    gate = asyncio.Semaphore(8)

    async def one(order: Order) -> Any:
        async with gate:
            return await what(order)

    return await asyncio.gather(*(one(order) for order in orders))


async def _settled(client: Client, order: Order) -> None:
    """Wait until nothing of it is on its way any more; then what it came to is known for good."""
    while True:
        order.envelope = await client.get(f"/v1/generations/{order.id}")
        if all(asset["state"] != "arriving" for asset in order.envelope["output"]):
            return
        await asyncio.sleep(PAUSE)


async def _look(client: Client, order: Order) -> None:
    order.attempts = (await client.get(f"/v1/generations/{order.id}/attempts"))["data"]
    for asset in order.envelope["output"]:
        order.files[asset["id"]] = await asyncio.to_thread(File.of, *await client.file(asset["url"]))


async def _listed(client: Client) -> list[str]:
    """The ids of all generations that the server has."""
    ids: list[str] = []
    cursor = ""
    while True:
        page = await client.get(f"/v1/generations?limit=100{cursor}")
        ids += [envelope["id"] for envelope in page["data"]]
        if page["next_cursor"] is None:
            return ids
        cursor = f"&cursor={page['next_cursor']}"


def judge(facts: Facts) -> Verdict:
    """Look at everything."""
    reasons: Counter[str] = Counter()
    checks = promises(facts, reasons)
    latencies = [order.seconds for order in facts.orders]
    tables = {
        "what happened": events(facts),
        "what was promised": {
            check.what: f"BROKEN {len(check.broken)} ×" if check.broken else check.found for check in checks
        },
        "paid calls at each service = attempts recorded as accepted + as not known": ledger(facts),
        "how orders ended": endings(facts),
        "what attempts without a picture came to, and why it is the truth": {
            reason: str(count) for reason, count in sorted(reasons.items())
        },
        "rates": rates(facts, latencies),
    }
    return Verdict(len(facts.orders), facts.seconds, latencies, checks, tables)
