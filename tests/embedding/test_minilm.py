"""The network gives the vectors that it should, off the event loop, and refuses what it cannot do in time."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ferrotype.domain.problems import InternalError, Overloaded
from ferrotype.embedding import SimilarSettings, lacking, open_embedder, similarity, weights
from ferrotype.embedding.minilm import MAX_WAITING, SIZE, MiniLM

#: From the model's own weights (32-bit floats, in double precision), less than four decimals off.
REFERENCE: dict[str, list[float]] = json.loads(
    Path(__file__).with_name("reference.json").read_text(encoding="utf-8")
)["vectors"]
#: The table of sentence-transformers' documentation for this model.
PUBLISHED = {
    ("The weather is lovely today.", "It's so sunny outside!"): 0.6660,
    ("The weather is lovely today.", "He drove to the stadium."): 0.1046,
    ("It's so sunny outside!", "He drove to the stadium."): 0.1411,
}


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


@pytest.fixture
async def fresh() -> AsyncIterator[MiniLM]:
    made = MiniLM()
    yield made
    await made.close()


async def test_vectors_are_those_of_the_model(fresh: MiniLM) -> None:
    vectors = await fresh.embed(list(REFERENCE))
    for vector, expected in zip(vectors, REFERENCE.values(), strict=True):
        assert len(vector) == SIZE == fresh.size
        assert cosine(list(memoryview(vector).cast("b")), expected) > 0.999


async def test_similarities_are_the_published_ones(fresh: MiniLM) -> None:
    for (one, other), expected in PUBLISHED.items():
        assert similarity(*await fresh.embed([one, other])) == pytest.approx(expected, abs=0.005)


async def test_a_text_has_the_same_vector_in_any_company(fresh: MiniLM) -> None:
    (alone,) = await fresh.embed(["a fox"])
    together = await fresh.embed(["a lighthouse " * 200, "a fox", ""])
    assert together[1] == alone
    assert similarity(alone, alone) == 1


async def test_it_runs_in_a_thread_of_its_own_which_is_bounded(
    fresh: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, threads = threading.Event(), set()

    def held(_text: str) -> bytes:
        threads.add(threading.current_thread().name)
        go.wait()
        return b"\x01"

    await fresh.embed(["loaded"])
    monkeypatch.setattr(fresh, "_vector", held)
    waiting = [asyncio.ensure_future(fresh.embed(["x"])) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await fresh.embed(["one too many"])
    assert (refused.value.limit, refused.value.retry_after) == (MAX_WAITING, 1)
    waiting.pop().cancel()
    go.set()
    assert await asyncio.gather(*waiting) == [[b"\x01"]] * (MAX_WAITING - 1)
    assert await fresh.embed(["again"]) == [b"\x01"]
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


async def test_after_the_end_nothing_is_taken() -> None:
    closed = MiniLM()
    await closed.close()
    with pytest.raises(Overloaded):
        await closed.embed(["a fox"])


async def test_other_weights_are_refused(
    fresh: MiniLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(weights.find().read_bytes()[:-1] + b"\x00")
    monkeypatch.setattr("ferrotype.embedding.minilm.find", lambda: other)
    with pytest.raises(InternalError, match=r"not the file that it should be.*pip install"):
        await fresh.embed(["a fox"])


async def test_a_network_that_breaks_is_a_problem(fresh: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    await fresh.embed(["loaded"])

    class Broken:
        def run(self, *_: Any) -> None:
            raise RuntimeError("bad graph")

    monkeypatch.setattr(fresh, "_session", Broken())
    with pytest.raises(InternalError, match="bad graph"):
        await fresh.embed(["a fox"])


def test_nothing_is_opened_that_is_not_wanted_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lacking() is None
    assert open_embedder(SimilarSettings()) is None
    assert isinstance(open_embedder(SimilarSettings(similar=True)), MiniLM)
    monkeypatch.setattr(weights, "PACKAGE", "no-such-package")
    assert lacking() == "The package no-such-package is not installed."
    assert open_embedder(SimilarSettings(similar=True)) is None
