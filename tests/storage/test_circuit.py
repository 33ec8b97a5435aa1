from __future__ import annotations

from ferrotype.domain.clock import ManualClock
from ferrotype.storage.circuit import Circuit


def opened(clock: ManualClock) -> Circuit:
    circuit = Circuit(clock, failures=3, pause=5)
    assert [circuit.failed() for _ in range(3)] == [False, False, True]
    return circuit


def test_failures_in_a_row_open_it_once() -> None:
    circuit = opened(ManualClock())
    assert circuit.is_open
    assert not circuit.failed()


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Circuit(ManualClock(), failures=3, pause=5)
    for _ in range(10):
        assert not circuit.failed()
        assert not circuit.failed()
        circuit.succeeded()
    assert not circuit.is_open


def test_one_caller_probes_once_the_pause_is_over() -> None:
    clock = ManualClock()
    circuit = opened(clock)
    clock.advance(4.9)
    assert not circuit.take_probe()
    clock.advance(0.2)
    assert circuit.take_probe()
    assert not circuit.take_probe()
    assert circuit.is_open
    circuit.probed(True)
    assert not circuit.is_open
    assert not circuit.take_probe()


def test_a_probe_in_vain_begins_another_pause() -> None:
    clock = ManualClock()
    circuit = opened(clock)
    clock.advance(6)
    assert circuit.take_probe()
    circuit.probed(False)
    assert circuit.is_open
    assert not circuit.take_probe()
    clock.advance(5)
    assert circuit.take_probe()


def test_a_late_success_does_not_close_it() -> None:
    circuit = opened(ManualClock())
    circuit.succeeded()
    assert circuit.is_open


def test_after_it_closed_it_takes_as_many_failures_again() -> None:
    clock = ManualClock()
    circuit = opened(clock)
    clock.advance(5)
    circuit.take_probe()
    circuit.probed(True)
    assert [circuit.failed() for _ in range(3)] == [False, False, True]
