"""RFC 7240: what the Prefer header may say."""

from __future__ import annotations

import pytest

from ferrotype.http.prefer import wait_seconds
from ferrotype.http.settings import HttpSettings

SETTINGS = HttpSettings(default_wait=60, max_wait=100)


@pytest.mark.parametrize(
    ("values", "seconds", "applied"),
    [
        ([], 60, None),
        ([""], 60, None),
        (["wait=5"], 5, "wait=5"),
        (["wait=0"], 0, "wait=0"),
        (["wait=2.5"], 2.5, "wait=2.5"),
        (['wait="7"'], 7, "wait=7"),
        (["wait = 8 "], 8, "wait=8"),
        (["WAIT=9"], 9, "wait=9"),
        (["wait=100000"], 100, "wait=100"),
        (["wait=-1"], 60, None),
        (["wait=nan"], 60, None),
        (["wait=inf"], 60, None),
        (["wait=soon"], 60, None),
        (["wait"], 60, None),
        (["wait=5, wait=6"], 5, "wait=5"),
        (["wait=5", "wait=6"], 5, "wait=5"),
        (["wait=5; foo=bar"], 5, "wait=5"),
        (["respond-async"], 0, "respond-async"),
        (["Respond-Async, wait=10"], 0, "respond-async"),
        (["return=minimal, wait=3"], 3, "wait=3"),
        (["return=minimal"], 60, None),
    ],
)
def test_what_is_waited(values: list[str], seconds: float, applied: str | None) -> None:
    assert wait_seconds(values, SETTINGS) == (seconds, applied)
