"""Differences that vectors hardly show are told by the words; and pairs that must never pass, do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from benchmarks.prompt_pairs import OTHER, SAME, pairs

from ferrotype.embedding import SimilarSettings, conflict, likeness, similarity
from ferrotype.embedding.minilm import MiniLM
from ferrotype.embedding.wording import excerpts

TAIL = ", in front of an old wooden house by a lake, golden hour light, shallow depth of field"
#: Words of which every ninth is to be another.
MANY = [first + second for first in "abcdefghjk" for second in "abcdefghi"]


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("two dogs", "three dogs", "a number"),
        ("3 people", "8 people", "a number"),
        ("a fox, 4k", "a fox, 8k", "a number"),
        ("a man with a hat", "a man with no hat", "a negation"),
        ("it is snowing", "it isn't snowing", "a negation"),
        ("a cup on the left", "a cup on the right", "a place"),
        ("a red car", "a blue car", "a colour"),
        ('a sign "open"', 'a sign "closed"', "the text"),
        ("a sign 'open'", "a sign 'shut'", "the text"),
        ("a dog chasing a cat", "a cat chasing a dog", "another order"),
        ("月の下の狐", "月の下の猫", "does not know"),
        ("a fox " * 200, "a fox " * 199 + "a wolf", "longer"),
        ("a fox " * 1000, "a fox " * 999 + "a wolf", "longer"),
        ("fox a " * 100, "fox the " * 100, "too often"),
        (" ".join(MANY), " ".join(f"{each}x" if each[1] == "i" else each for each in MANY), "many places"),
    ],
)
def test_words_that_make_another_picture(one: str, other: str, reason: str) -> None:
    assert reason in (conflict(one, other) or "")
    assert reason in (conflict(other, one) or "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A fox, under the moon", "a fox , under the MOON"),
        ("a fox under the moon", "fox beneath the moon"),
        ("a fox, oil painting, detailed", "a fox, detailed, oil painting"),
        ("two red foxes", "two small red foxes"),
        ("the fox's den", "a fox's den"),
        ("狐 by a lake", "狐 at a lake"),
        ("a fox " * 200, "A fox " * 200),
        ("a fox " * 1000, "A  fox " * 1000),
    ],
)
def test_words_that_do_not(one: str, other: str) -> None:
    assert conflict(one, other) is None


def test_places_are_cut_out_with_the_words_around_them() -> None:
    one, other = f"photo of a cat on a sofa{TAIL}", f"photo of a cat on the couch{TAIL}"
    assert excerpts(one, other) == [("a cat on a sofa , in front", "a cat on the couch , in front")]
    assert excerpts(one, one.upper()) == []


@pytest.fixture
async def embedder() -> AsyncIterator[MiniLM]:
    made = MiniLM()
    yield made
    await made.close()


async def taken(embedder: MiniLM, one: str, other: str) -> bool:
    """As `reuse: similar` does it."""
    whole = similarity(*await embedder.embed([one, other]))
    threshold = SimilarSettings().similar_threshold
    return conflict(one, other) is None and await likeness(embedder, one, other, whole) >= threshold


@pytest.mark.parametrize("long", [False, True])
async def test_the_default_threshold_tells_pictures_apart(embedder: MiniLM, long: bool) -> None:
    for kind, each in pairs(OTHER, long=long).items():
        for one, other in each:
            assert not await taken(embedder, one, other), (kind, one, other)
    same = [await taken(embedder, *pair) for each in pairs(SAME, long=long).values() for pair in each]
    assert sum(same) >= len(same) / 2  # strict, and still of use


async def test_the_examples_of_the_page_are_true(embedder: MiniLM) -> None:
    page = (Path(__file__).parents[2] / "docs" / "REUSE.md").read_text(encoding="utf-8")
    table = page.split("| former prompt | new prompt | |\n| --- | --- | --- |\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert {answer.split(":")[0] for _, _, answer in rows} == {"reused", "made"}
    for former, new, answer in rows:
        assert await taken(embedder, new, former) is (answer == "reused"), (former, new)
        for word in ("number", "negation", "order"):
            if word in answer:
                assert word in (conflict(new, former) or "")
