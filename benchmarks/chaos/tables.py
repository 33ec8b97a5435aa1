"""A round as tables: each row's label and its value."""

from __future__ import annotations

from collections import Counter

from benchmarks.chaos.facts import NEVER_RAN, WORDS, Facts, is_unsure
from benchmarks.report import percentile


def events(facts: Facts) -> dict[str, str]:
    part = facts.part
    fates = Counter(line["fate"] for lines in facts.paid.values() for line in lines if line["fate"])
    spoiled = sum(line["what"] == "spoiled" for line in facts.bills[part.garbles])
    how = "killed, forgot all" if part.forgets else "out of reach, knew all"
    return {
        "died": f"{part.dies}: {how}, {facts.away.ended - facts.away.began:.1f} s",
        "limited its rate": f"{part.limits}: {sum(facts.refused.values())} × 429",
        "made garbage": f"{part.garbles}: {sum(fates.values())} orders",
        **{f"- {word}": str(fates[fate]) for fate, word in WORDS.items()},
        "- of the last two, found again by asking": str(_found_again(facts)),
        "- other answers and files spoiled": str(spoiled),
        "our server away after SIGKILL": f"{facts.down.ended - facts.down.began:.1f} s",
        "requests that clients sent again": str(facts.repeated),
    }


def _found_again(facts: Facts) -> int:
    """Calls whose answer was of no use, and that are known to have been accepted all the same."""
    known = {attempt["request_id"] for order in facts.orders for attempt in order.attempts}
    spoiled = {
        line["id"] for lines in facts.paid.values() for line in lines if line["fate"] in ("cut", "lost")
    }
    return len(spoiled & known)


def ledger(facts: Facts) -> dict[str, str]:
    rows = {}
    for service in facts.bills:
        attempts = [attempt for order in facts.orders for attempt in order.attempts_at(service)]
        paid = sum(len(lines) for (at, _), lines in facts.paid.items() if at == service)
        accepted = sum(bool(attempt["submitted_at"]) for attempt in attempts)
        unknown = sum(is_unsure(attempt) for attempt in attempts)
        never = accepted + unknown - paid
        rest = f" ({never} of these never arrived)" if never else ""
        rows[service] = f"{paid} / {accepted} + {unknown}{rest}"
    return rows


def endings(facts: Facts) -> dict[str, str]:
    rows = Counter()
    for order in facts.orders:
        code = (order.envelope["error"] or {}).get("code")
        ready = len(order.assets("ready"))
        if order.status == "succeeded":
            rows["succeeded" if ready == order.pictures else f"succeeded in part, the rest `{code}`"] += 1
        else:
            rows[f"{order.status}: `{code}`"] += 1
    return {label: str(count) for label, count in sorted(rows.items(), key=lambda row: row[0] != "succeeded")}


def rates(facts: Facts, latencies: list[float]) -> dict[str, str]:
    good = Counter(
        attempt["provider"]
        for order in facts.orders
        for attempt in order.attempts
        if attempt["status"] == "succeeded"
    )
    attempts = sum(len(order.attempts) for order in facts.orders)
    fallbacks = sum(
        (attempt["error"] or {}).get("code") in NEVER_RAN and not attempt["submitted_at"]
        for order in facts.orders
        for attempt in order.attempts
    )
    return {
        "generations per second": f"{len(facts.orders) / facts.seconds:.1f}",
        "order to its end, p50": f"{percentile(latencies, 0.5):.2f} s",
        "order to its end, p99": f"{percentile(latencies, 0.99):.2f} s",
        "slowest": f"{max(latencies):.2f} s",
        **{f"made by {service}": f"{good[service] / sum(good.values()):.0%}" for service in facts.bills},
        "attempts": str(attempts),
        "calls that went on to another deployment or came back later": str(fallbacks),
    }
