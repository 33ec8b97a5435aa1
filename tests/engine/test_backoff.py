from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.engine.backoff import backoff

BASE, CAP = timedelta(seconds=1), timedelta(minutes=5)


@given(starts=st.integers(1, 10_000), seed=st.integers())
def test_a_delay_lies_within_its_doubling_range(starts: int, seed: int) -> None:
    delay = backoff(starts, base=BASE, cap=CAP, rng=random.Random(seed))
    assert timedelta(0) <= delay <= min(CAP, BASE * 2 ** min(starts - 1, 20))


def test_the_same_dice_give_the_same_delays() -> None:
    delays = [[backoff(n, base=BASE, cap=CAP, rng=random.Random(5)) for n in range(1, 9)] for _ in range(2)]
    assert delays[0] == delays[1]


def test_the_whole_range_is_used() -> None:
    rng = random.Random(1)
    delays = [backoff(5, base=BASE, cap=CAP, rng=rng) / timedelta(seconds=16) for _ in range(400)]
    assert [sum(low <= delay < low + 0.25 for delay in delays) > 60 for low in (0, 0.25, 0.5, 0.75)] == [
        True
    ] * 4


def test_nothing_to_back_off_from() -> None:
    with pytest.raises(ValueError, match="never started"):
        backoff(0, base=BASE, cap=CAP, rng=random.Random())
