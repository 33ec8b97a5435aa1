"""The chaos benchmark in small: its rounds with few orders, and each of its promises."""

from __future__ import annotations

import pytest
from benchmarks.chaos import ROUNDS
from benchmarks.chaos.facts import Round
from benchmarks.chaos.rounds import play

ORDERS = 60


@pytest.mark.soak
@pytest.mark.parametrize("part", ROUNDS, ids=str)
async def test_promises_hold_while_services_die(part: Round) -> None:
    verdict = await play(part, ORDERS)
    assert {check.what: check.broken for check in verdict.checks if check.broken} == {}
