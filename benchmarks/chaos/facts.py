"""What is known of a round: its orders as their clients know them, and the files of the services."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyvips

#: Endings of attempts that say: the service surely did nothing for it.
NEVER_RAN = ("provider_unavailable", "provider_busy", "provider_misconfigured", "attempt_lost")
NUMBER = re.compile(r"order (\d+)$")
#: How far the clocks of two processes, and of a request and its answer, may be apart, in seconds.
SLACK = 0.1
WORDS = {
    "truncated": "half a picture",
    "text": "HTML for a picture",
    "empty": "success without a picture",
    "failed": "a failure after acceptance",
    "cut": "half an answer",
    "lost": "no answer",
}


@dataclass(frozen=True)
class Round:
    """Which service does what. `forgets`: it dies by SIGKILL; else it is out of reach and works on."""

    dies: str
    limits: str
    garbles: str
    forgets: bool

    def __str__(self) -> str:
        how = "is killed" if self.forgets else "is out of reach"
        return f"{self.dies} {how}, {self.limits} limits, {self.garbles} makes garbage"


@dataclass(frozen=True)
class Death:
    """From when to when something was away; seconds of the wall clock."""

    began: float
    ended: float

    def meets(self, began: float, ended: float) -> bool:
        """Whether any of that time was within it."""
        return began <= self.ended + SLACK and ended >= self.began - SLACK


@dataclass(frozen=True)
class Account:
    available: int
    held: int
    spent: int


@dataclass(frozen=True)
class File:
    """A picture as it was served; `size` is None when it does not decode to its last pixel."""

    status: int
    sha256: str
    size: tuple[int, int] | None

    @classmethod
    def of(cls, status: int, data: bytes) -> File:
        size = None
        if status == 200:
            try:
                picture = pyvips.Image.new_from_buffer(data, "", fail_on="error")
                picture.avg()
                size = (picture.width, picture.height)
            except pyvips.Error:
                pass
        return cls(status, hashlib.sha256(data).hexdigest(), size)


@dataclass
class Order:
    """One order, as its client knows it in the end."""

    number: int
    pictures: int
    width: int
    height: int
    id: str = ""
    seconds: float = 0.0
    envelope: dict[str, Any] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """No two pictures of a round have the same."""
        return 1_000 + 10 * self.number

    @property
    def status(self) -> str:
        return str(self.envelope.get("status", ""))

    @property
    def ended(self) -> bool:
        return self.status in ("succeeded", "failed", "canceled")

    def assets(self, state: str) -> list[dict[str, Any]]:
        return [asset for asset in self.envelope["output"] if asset["state"] == state]

    def attempts_at(self, service: str) -> list[dict[str, Any]]:
        return [attempt for attempt in self.attempts if attempt["provider"] == service]


@dataclass
class Facts:
    """Everything that is known of a round. `bills`: the lines of each service's file. `away`: the service
    that dies, `down`: our server. `errors`: lines of its log."""

    part: Round
    orders: list[Order]
    bills: dict[str, list[dict[str, Any]]]
    away: Death
    down: Death
    balance: Account
    granted: int
    listed: list[str]
    replayed: int
    repeated: int
    errors: list[str]
    seconds: float

    def __post_init__(self) -> None:
        #: Lines about paid work by (service, order), and how often it was told to come back later.
        self.paid: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        self.refused: Counter[tuple[str, int]] = Counter()
        #: Seeds of finished pictures by the SHA-256 of their bytes.
        self.made: dict[str, int] = {}
        for service, lines in self.bills.items():
            seeds = {line["id"]: line["seed"] for line in lines if line["what"] == "paid"}
            for line in lines:
                if line["what"] == "paid":
                    self.paid[service, _number(line)].append(line)
                elif line["what"] == "refused":
                    self.refused[service, _number(line)] += 1
                elif line["what"] == "made":
                    self.made[line["sha256"]] = seeds[line["id"]]

    def fates(self, order: Order, attempt: dict[str, Any]) -> set[str]:
        """What became of the attempt's call, where it was nothing good; of each that may be it, where its
        service has no id of ours."""
        lines = self.paid[attempt["provider"], order.number]
        claimed = {other["request_id"] for other in order.attempts}
        own = [line for line in lines if line["id"] == attempt["request_id"]]
        return {line["fate"] for line in own or lines if line["fate"] and (own or line["id"] not in claimed)}

    def work(self, order: Order, seed: int) -> list[tuple[str, dict[str, Any]]]:
        """(service, line) of each call for that picture."""
        return [
            (service, line)
            for service in self.bills
            for line in self.paid[service, order.number]
            if line["seed"] == seed
        ]


def is_unsure(attempt: dict[str, Any]) -> bool:
    """Whether it never heard that its call was accepted, and may have been."""
    code = (attempt["error"] or {}).get("code")
    return attempt["submitted_at"] is None and code not in NEVER_RAN


def seconds_of(moment: str | None) -> float:
    """Of the wall clock; endless where it has not come."""
    return datetime.fromisoformat(moment).timestamp() if moment else float("inf")


def _number(line: dict[str, Any]) -> int:
    match = NUMBER.search(line["prompt"])
    return int(match[1]) if match else -1
