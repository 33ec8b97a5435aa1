from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain.ledger import EFFECTS, Balance, EntryKind, LedgerFault
from ferrotype.domain.problems import InsufficientCredits

moves = st.lists(st.tuples(st.sampled_from(list(EntryKind)), st.integers(0, 50)))


@given(moves)
def test_no_credit_appears_or_vanishes(entries: list[tuple[EntryKind, int]]) -> None:
    balance, granted = Balance(), 0
    for kind, credits in entries:
        try:
            balance = balance.after(kind, credits)
        except (InsufficientCredits, LedgerFault):
            continue
        granted += credits if kind is EntryKind.GRANT else 0
        assert min(balance.available, balance.held, balance.spent) >= 0
        assert balance.available + balance.held + balance.spent == granted


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_hold_is_settled_or_released_whole(first: int, second: int, third: int) -> None:
    total = first + second + third
    balance = Balance(available=total).after(EntryKind.HOLD, total)
    balance = balance.after(EntryKind.SETTLE, first).after(EntryKind.RELEASE, second)
    balance = balance.after(EntryKind.SETTLE, third)
    assert balance == Balance(available=second, held=0, spent=first + third)


def test_only_the_hold_can_be_the_callers_fault() -> None:
    with pytest.raises(InsufficientCredits) as caught:
        Balance(available=3).after(EntryKind.HOLD, 4)
    assert caught.value.limit == 3
    for kind in (EntryKind.SETTLE, EntryKind.RELEASE, EntryKind.REFUND):
        with pytest.raises(LedgerFault):
            Balance(available=3).after(kind, 1)
    with pytest.raises(LedgerFault):
        Balance().after(EntryKind.GRANT, -1)


def test_every_kind_but_the_grant_moves_credits_and_makes_none() -> None:
    for kind, effect in EFFECTS.items():
        assert sum(effect) == (1 if kind is EntryKind.GRANT else 0)
