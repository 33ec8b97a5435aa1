from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.domain.states import (
    GENERATION,
    MACHINES,
    GenerationState,
    IllegalTransition,
    Machine,
    document,
)

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_move_is_in_the_table_or_raises(machine: Machine) -> None:
    for current, after in machine.moves.items():
        for to in machine.moves:
            if to in after:
                assert machine.advance(current, to) is to
            else:
                with pytest.raises(IllegalTransition, match=f"{machine.name}: {current} -> {to}"):
                    machine.advance(current, to)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_is_reached_and_ends(machine: Machine) -> None:
    reached = {machine.initial}
    while True:
        further = {to for state in reached for to in machine.moves[state]} - reached
        if not further:
            break
        reached |= further
    assert reached == set(machine.moves)
    for state in machine.moves:
        assert state in machine.terminal or machine.moves[state], f"{state} is a dead end"


def test_a_finished_generation_never_works_again() -> None:
    working = {GenerationState.QUEUED, GenerationState.RUNNING}
    for state in GENERATION.terminal:
        assert not working & set(GENERATION.moves[state])


def test_the_diagrams_in_the_docs_are_these_tables() -> None:
    assert (DOCS / "STATES.md").read_text(encoding="utf-8") == document()
