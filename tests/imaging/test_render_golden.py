"""Every case gives what it gave when somebody looked at it last (python -m tests.imaging.golden show)."""

from __future__ import annotations

import json

import pytest
from golden.book import FACTS, FOLDER, GREATEST, LOSSY, MEAN, Page, difference, expected, made
from golden.cases import CASES, name_of

LOSSLESS = ("image/png",)


@pytest.mark.parametrize(("source", "query"), CASES, ids=[name_of(*each) for each in CASES])
def test_golden(source: str, query: str) -> None:
    found, wanted = made(source, query), expected(source, query)
    assert found.facts == wanted.facts
    assert found.pixels.shape == wanted.pixels.shape
    mean, greatest = difference(found, wanted)
    times = 1 if found.facts["content_type"] in LOSSLESS else LOSSY
    assert (mean <= MEAN * times, greatest <= GREATEST * times) == (True, True), (mean, greatest)


def test_there_is_a_picture_for_every_case_and_no_other() -> None:
    names = {name_of(*each) for each in CASES}
    assert len(names) == len(CASES) >= 150
    assert {path.stem for path in FOLDER.glob("*.png")} == names == json.loads(FACTS.read_text()).keys()


@pytest.mark.parametrize("change", ["shift", "channels", "darker", "mirror"])
def test_the_tolerance_sees_what_a_person_would(change: str) -> None:
    right = expected("png", "w=60")
    wrong = {
        "shift": lambda p: p[:, [0, *range(p.shape[1] - 1)]],
        "channels": lambda p: p[..., ::-1],
        "darker": lambda p: p - (p > 3) * 2,
        "mirror": lambda p: p[:, ::-1],
    }[change](right.pixels)
    mean, greatest = difference(Page(wrong, right.facts), right)
    assert mean > MEAN or greatest > GREATEST
