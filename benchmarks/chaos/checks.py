"""What must hold of a round: our word against the files of the services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos.facts import NEVER_RAN, SLACK, WORDS, Account, Facts, Order, is_unsure, seconds_of


@dataclass
class Check:
    """A promise; `broken` has a line for each time that it was."""

    what: str
    found: str
    broken: list[str]


def promises(facts: Facts, reasons: Counter[str]) -> list[Check]:
    """Look at everything; `reasons` is told why attempts and files came to nothing."""
    return [
        _ends(facts),
        _pictures(facts),
        _failures(facts, reasons),
        _money(facts),
        _once(facts),
        _requests(facts),
        _books(facts),
        _replays(facts),
        Check("our log has no error", "none", facts.errors),
    ]


def _ends(facts: Facts) -> Check:
    """Each order is one generation, which has ended, and there are no others."""
    broken = [f"{order.number} is {order.status}" for order in facts.orders if not order.ended]
    broken += [f"{order.number} was canceled" for order in facts.orders if order.status == "canceled"]
    ids = {order.id for order in facts.orders}
    if not (len(ids) == len(facts.orders) == len(facts.listed) and ids == set(facts.listed)):
        broken.append(f"{len(facts.orders)} orders, {len(ids)} generations, {len(facts.listed)} listed")
    return Check("every order ended, as one generation", f"{len(ids)} of {len(facts.orders)}", broken)


def _pictures(facts: Facts) -> Check:
    """What is called a picture is one, has the size that was ordered, and is the one made for this order."""
    broken, good = [], 0
    for order in facts.orders:
        ready = order.assets("ready")
        if (order.status == "succeeded") != bool(ready):
            broken.append(f"{order.number} {order.status} with {len(ready)} pictures")
        if order.status == "succeeded" and len(ready) < order.pictures and order.envelope["error"] is None:
            broken.append(f"{order.number}: {len(ready)} of {order.pictures} pictures and no reason")
        for asset in order.envelope["output"]:
            file = order.files[asset["id"]]
            if asset["state"] != "ready":
                if file.status == 200:
                    broken.append(f"{order.number}: a picture that failed is served")
                continue
            told = (asset["width"], asset["height"])
            wanted = (order.width, order.height)
            if not (file.status == 200 and file.size == told == wanted):
                broken.append(f"{order.number}: {file.status}, {file.size} for {wanted}, told as {told}")
            elif not facts.made.get(file.sha256) == asset["seed"] == order.seed + asset["index"]:
                broken.append(f"{order.number}: has the picture of seed {facts.made.get(file.sha256)}")
            elif file.sha256 != asset["sha256"]:
                broken.append(f"{order.number}: has another SHA-256 than it says")
            else:
                good += 1
    return Check("every picture decodes, has its size, and is its order's own", f"{good} pictures", broken)


def _failures(facts: Facts, reasons: Counter[str]) -> Check:
    """Whatever ended without a picture says why, and the services' files say the same."""
    broken, count = [], 0
    for order in facts.orders:
        for attempt in order.attempts:
            code = (attempt["error"] or {}).get("code")
            if attempt["status"] == "succeeded" and code is None:
                continue
            count += 1
            why = _why(facts, order, attempt, code)
            if why is None:
                broken.append(f"{order.number} at {attempt['provider']}: {attempt['status']}, {code}")
            reasons[f"`{code}`: {why}"] += 1
        for asset in order.assets("failed"):
            count += 1
            why = _why_lost(facts, order, asset)
            if why is None:
                broken.append(f"{order.number}: the bytes of a picture never came")
            reasons[f"`origin_unavailable`: {why}"] += 1
        broken += _misled(order)
    return Check("every failure is the truth", f"{count} attempts and files", broken)


def _why(facts: Facts, order: Order, attempt: dict[str, Any], code: str | None) -> str | None:
    """What the services' files say to an attempt's problem; None where they do not bear it out."""
    service, fates = attempt["provider"], facts.fates(order, attempt)
    began, ended = seconds_of(attempt["created_at"]), seconds_of(attempt["completed_at"])
    was_away = service == facts.part.dies and facts.away.meets(began, ended)
    if code == "provider_unavailable" and was_away:
        return "the service was away"
    if code == "provider_busy" and facts.refused[service, order.number]:
        return "the service answered 429"
    if code == "provider_failed":
        found = fates & {"truncated", "text", "empty", "failed"}
        return next((WORDS[fate] for fate in sorted(found)), None)
    if code == "outcome_unknown":
        found = fates & {"cut", "lost"}
        if service == "openai" and "failed" in fates:
            return "the service answered 500"
        if found and service != "replicate":  # which can be asked what became of it
            return WORDS[sorted(found)[0]]
        if was_away and (facts.part.forgets or not attempt["submitted_at"]):
            return "the service died meanwhile"
        if facts.down.meets(began, ended) and (service == "openai" or not attempt["submitted_at"]):
            return "our server was killed meanwhile"
    return None


def _why_lost(facts: Facts, order: Order, asset: dict[str, Any]) -> str | None:
    """Why the bytes of a picture never came."""
    for service, line in facts.work(order, asset["seed"]):
        if line["fate"] in ("truncated", "text"):
            return WORDS[line["fate"]]
        if service == facts.part.dies and facts.part.forgets and line["at"] <= facts.away.began + SLACK:
            return "the service died with the file"
    return None


def _misled(order: Order) -> Iterator[str]:
    """Where the generation's own problem is none of its attempts'."""
    error = order.envelope["error"]
    if order.status == "failed" and error is None:
        yield f"{order.number} failed without a problem"
    if error is not None:
        codes = {(attempt["error"] or {}).get("code") for attempt in order.attempts}
        if order.assets("failed"):
            codes.add("origin_unavailable")
        if error["code"] not in codes:
            yield f"{order.number} failed with {error['code']}, its attempts with {codes}"
        if error.get("charged") == "unknown" and error["code"] != "outcome_unknown":
            yield f"{order.number}: {error['code']} may be charged"


def _money(facts: Facts) -> Check:
    """Each paid call is an attempt that says so or does not know; no attempt says so of a call never paid."""
    broken, total = [], 0
    for order in facts.orders:
        for service in facts.bills:
            paid = {line["id"] for line in facts.paid[service, order.number]}
            attempts = order.attempts_at(service)
            accepted = [attempt for attempt in attempts if attempt["submitted_at"]]
            unknown = [attempt for attempt in attempts if is_unsure(attempt)]
            total += len(paid)
            if not len(accepted) <= len(paid) <= len(accepted) + len(unknown):
                broken.append(
                    f"{order.number}: {len(paid)} calls paid at {service}, {len(accepted)} accepted,"
                    f" {len(unknown)} unknown"
                )
            strangers = {attempt["request_id"] for attempt in accepted} - paid
            if service != "openai" and strangers:  # there a call has no id but ours
                broken.append(f"{order.number}: {service} knows nothing of {strangers}")
            codes = [(attempt["error"] or {}).get("code") for attempt in accepted]
            broken += [f"{order.number}: {code}, and it was paid" for code in codes if code in NEVER_RAN]
    known = {(service, order.number) for order in facts.orders for service in facts.bills}
    broken += [f"{key} was paid and nobody ordered it" for key in facts.paid if key not in known]
    return Check("paid calls = attempts recorded", f"{total} calls", broken)


def _once(facts: Facts) -> Check:
    """No picture is paid for twice, delivered twice, or made beyond what was ordered."""
    broken = []
    calls = Counter(line["seed"] for lines in facts.paid.values() for line in lines)
    broken += [f"seed {seed} was paid {count} times" for seed, count in calls.items() if count > 1]
    for order in facts.orders:
        made = sum(attempt["status"] == "succeeded" for attempt in order.attempts)
        indices = [asset["index"] for asset in order.envelope["output"]]
        if max(made, len(indices)) > order.pictures or len(set(indices)) < len(indices):
            broken.append(f"{order.number}: {made} good attempts, pictures {indices} for {order.pictures}")
    return Check("no picture paid or made twice", f"{len(calls)} pictures ordered at services", broken)


def _requests(facts: Facts) -> Check:
    ids = [
        (attempt["provider"], attempt["request_id"])
        for order in facts.orders
        for attempt in order.attempts
        if attempt["request_id"]
    ]
    broken = [f"{key} stands {count} times" for key, count in Counter(ids).items() if count > 1]
    broken += [
        f"{order.number} has an attempt that is {attempt['status']}"
        for order in facts.orders
        for attempt in order.attempts
        if attempt["completed_at"] is None
    ]
    return Check("no request id twice, no attempt left open", f"{len(ids)} ids", broken)


def _books(facts: Facts) -> Check:
    """Nothing is held, and what was spent is what the orders cost that brought pictures."""
    balance = facts.balance
    cost = sum(order.envelope["cost"]["credits"] for order in facts.orders)
    right = Account(facts.granted - cost, 0, cost)
    broken = [] if balance == right else [f"{balance}, and the orders cost {cost}"]
    broken += [
        f"{order.number} failed and cost {order.envelope['cost']['credits']}"
        for order in facts.orders
        if order.status == "failed" and order.envelope["cost"]["credits"]
    ]
    found = f"{balance.held} held, {balance.spent} spent"
    return Check("the account: nothing held, spent = cost of the pictures", found, broken)


def _replays(facts: Facts) -> Check:
    count = len(facts.orders)
    broken = [] if facts.replayed == count else [f"{count - facts.replayed} keys led elsewhere"]
    return Check("each key, sent once more, leads to its generation", f"{facts.replayed} of {count}", broken)
