"""The rules of credits, as pure arithmetic.

An account has `available` credits, `held` ones and `spent` ones. Each entry moves credits between
them and has a unique key, so that writing it twice moves them once:

| kind    | available | held | spent | key                                                             |
| ------- | --------- | ---- | ----- | --------------------------------------------------------------- |
| grant   | +n        |      |       | `grant:{id}`                                                    |
| hold    | -n        | +n   |       | `hold:{generation_id}`, or of a batch until each item has its   |
|         |           |      |       | generation: `hold:{batch_id}`, `release:{batch_id}:{index}`     |
| settle  |           | -n   | +n    | `settle:{asset_id}`, of a reuse `settle:{generation}:{asset}`   |
| release | +n        | -n   |       | `release:{asset or job}`, of a reuse also of the generation     |
| refund  | +n        |      | -n    | `refund:{id}`                                                   |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ferrotype.domain.problems import InsufficientCredits


class EntryKind(StrEnum):
    """The words of the ledger."""

    GRANT = "grant"
    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"
    REFUND = "refund"


#: Per credit of an entry: what it does to (available, held, spent).
EFFECTS: Final[dict[EntryKind, tuple[int, int, int]]] = {
    EntryKind.GRANT: (+1, 0, 0),
    EntryKind.HOLD: (-1, +1, 0),
    EntryKind.SETTLE: (0, -1, +1),
    EntryKind.RELEASE: (+1, -1, 0),
    EntryKind.REFUND: (+1, 0, -1),
}


class LedgerFault(Exception):
    """An entry that the rules forbid although the caller did nothing wrong: a fault of ours."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Whole credits; never negative."""

    available: int = 0
    held: int = 0
    spent: int = 0

    def after(self, kind: EntryKind, credits: int) -> Balance:
        """The balance once the entry is written.

        Raises InsufficientCredits when a hold exceeds what is available, LedgerFault when any other
        entry takes more than is there or `credits` is negative.
        """
        if credits < 0:
            raise LedgerFault(f"{kind} of {credits} credits")
        available, held, spent = (sign * credits for sign in EFFECTS[kind])
        result = Balance(self.available + available, self.held + held, self.spent + spent)
        if result.available < 0:
            raise InsufficientCredits(
                f"The order costs {credits} credits and {self.available} are available.", limit=self.available
            )
        if result.held < 0 or result.spent < 0:
            raise LedgerFault(f"{kind} of {credits} credits on {self}")
        return result
