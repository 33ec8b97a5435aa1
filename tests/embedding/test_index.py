"""The search gives what comparing one by one in plain Python gives."""

from __future__ import annotations

import random

import pytest

from ferrotype.embedding import similarity
from ferrotype.embedding.index import CHUNK, MOST, Index

SIZE = 16
Row = tuple[int, str, str, bytes]


def row(number: int, rng: random.Random, terms: str = "t" * 64) -> Row:
    return number, f"{number:036d}", terms, rng.randbytes(SIZE)


def rows(count: int, seed: int = 1) -> list[Row]:
    rng = random.Random(seed)
    return [row(number, rng, "ab"[number % 2] * 64) for number in range(1, count + 1)]


def expected(held: list[Row], vector: bytes, at_least: float, terms: str | None = None) -> list[str]:
    found = [
        (similarity(vector, each[3]), each[0], each[1])
        for each in held
        if terms is None or each[2][:16] == terms[:16]
    ]
    return [name for value, _, name in sorted(found, reverse=True) if value >= at_least][:MOST]


@pytest.mark.parametrize("terms", [None, "a" * 64])
@pytest.mark.parametrize("at_least", [-1.0, 0.3])
def test_the_nearest_are_exact(terms: str | None, at_least: float) -> None:
    held = rows(2 * CHUNK + 7)
    index = Index(SIZE, 100_000)
    index.add(held)
    for query in (held[5][3], random.Random(9).randbytes(SIZE)):
        assert [name for name, _ in index.nearest(query, at_least, terms)] == expected(
            held, query, at_least, terms
        )


def test_similarities_are_cosines_and_equal_ones_come_newest_first() -> None:
    vector = bytes(range(1, 1 + SIZE))
    opposite = bytes((-each) % 256 for each in vector)
    index = Index(SIZE, 1000)
    index.add([(1, "1" * 36, "t", vector), (2, "2" * 36, "t", opposite), (3, "3" * 36, "t", vector)])
    found = list(index.nearest(vector, -1))
    assert [name[0] for name, _ in found] == ["3", "1", "2"]
    assert [value for _, value in found] == pytest.approx([1, 1, -1])
    assert [name[0] for name, _ in index.nearest(vector, 1)] == ["3", "1"]


def test_what_is_added_again_replaces_what_was_there() -> None:
    index, rng = Index(SIZE, 1000), random.Random(2)
    first = [row(number, rng) for number in range(1, 11)]
    index.add(first)
    again = (11, first[3][1], "u" * 64, rng.randbytes(SIZE))
    index.add([again])
    assert (len(index), index.newest) == (10, 11)
    held = [each for each in first if each[1] != again[1]] + [again]
    assert [name for name, _ in index.nearest(again[3], -1)] == expected(held, again[3], -1)
    assert [name for name, _ in index.nearest(again[3], -1, "u" * 64)] == [again[1]]


def test_only_the_newest_are_held() -> None:
    held = rows(2_500)
    index = Index(SIZE, 1_000)
    index.add(held[:900])
    for start in range(900, 2_500, 50):
        index.add(held[start : start + 50])
    assert 900 <= len(index) <= 1_000
    assert index.newest == 2_500
    left = held[-len(index) :]
    assert [name for name, _ in index.nearest(held[-1][3], -1)] == expected(left, held[-1][3], -1)
    index.add(rows(5_000, seed=3)[2_500:])
    assert len(index) == 1_000


def test_an_empty_one_finds_nothing() -> None:
    index = Index(SIZE, 1000)
    index.add([])
    assert list(index.nearest(b"\x01" * SIZE, -1)) == []
    assert list(index.nearest(b"\x01" * SIZE, -1, "t")) == []
