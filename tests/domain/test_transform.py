"""Transforms as text: one spelling for each, every bad value named, nothing that brings the parser down."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import ORIGINAL, Transform, etag
from ferrotype.domain.transform_query import (
    COLORS,
    COMPASS,
    FITS,
    FORMATS,
    GRAVITIES,
    NAMES,
    POINTS,
    READERS,
    Vocabulary,
    parse,
)

THUMB = Transform(w=200, h=200, fit="cover")
KNOWN = Vocabulary(
    presets={"thumb": THUMB},
    watermarks={"logo": "logo.3fa9c12b4d5e", "a-b_2": "a-b_2.00112233aabb"},
)


def read(query: str, known: Vocabulary = KNOWN) -> Transform:
    return parse(parse_qsl(query, keep_blank_values=True), known)


def numbers(low: float, high: float) -> st.SearchStrategy[str]:
    return st.integers(round(low * 100), round(high * 100)).map(lambda value: f"{value / 100:g}")


def sides() -> st.SearchStrategy[str]:
    return st.integers(1, 3000).map(str)


@st.composite
def colors(draw: st.DrawFn) -> str:
    digits = draw(st.sampled_from((3, 4, 6, 8)))
    value = draw(st.text("0123456789abcdefABCDEF", min_size=digits, max_size=digits))
    return draw(st.sampled_from((value, f"#{value}", *COLORS)))


#: Good values of every parameter.
GOOD: dict[str, st.SearchStrategy[str]] = {
    "crop": st.tuples(*[st.integers(0, 9999)] * 2, *[st.integers(1, 9999)] * 2).map(
        lambda box: ",".join(map(str, box))
    ),
    "trim": st.integers(0, 254).map(str),
    "w": sides(),
    "h": sides(),
    "fit": st.sampled_from(FITS),
    "gravity": st.sampled_from(("center", *GRAVITIES))
    | st.tuples(numbers(0, 1), numbers(0, 1)).map(",".join),
    "enlarge": st.sampled_from("01"),
    "dpr": numbers(1, 2),
    "rotate": st.integers(0, 360).map(str),
    "flip": st.sampled_from(("h", "v", "hv", "vh")),
    "blur": numbers(0.3, 250),
    "sharpen": numbers(0.1, 10),
    "bg": colors(),
    "watermark": st.sampled_from([*KNOWN.watermarks, *KNOWN.watermarks.values()]),
    "format": st.sampled_from((*FORMATS, "jpg")),
    "q": st.integers(1, 100).map(str),
    "strip": st.sampled_from("01"),
}
#: Any good values; what does not go together is left to the test.
queries = st.fixed_dictionaries({}, optional=GOOD).map(lambda found: list(found.items()))


def outcome(query: list[tuple[str, str]]) -> Transform | InvalidField:
    """Nothing else comes out."""
    try:
        return parse(query, KNOWN)
    except InvalidField as problem:
        return problem


def parsed(query: list[tuple[str, str]], known: Vocabulary = KNOWN) -> Transform:
    try:
        return parse(query, known)
    except InvalidField:
        assume(False)
        raise


# One spelling


@given(queries)
def test_what_is_written_is_read_again(query: list[tuple[str, str]]) -> None:
    transform = parsed(query)
    text = transform.canonical()
    assert read(text) == transform
    assert read(text).canonical() == text


@given(queries, st.randoms())
def test_order_does_not_matter(query: list[tuple[str, str]], random: Any) -> None:
    shuffled = query[:]
    random.shuffle(shuffled)
    assert parsed(query) == parsed(shuffled)


@given(queries, queries)
def test_two_transforms_are_equal_when_their_texts_are(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    first, second = parsed(one), parsed(other)
    assert (first == second) == (first.canonical() == second.canonical())
    assert (first == second) == (etag("id", first.canonical()) == etag("id", second.canonical()))


@given(queries)
def test_what_is_not_given_may_be_spelt_out(query: list[tuple[str, str]]) -> None:
    """Defaults, said or left out."""
    transform, given_names = parsed(query), dict(query)
    defaults = {"strip": "1", "enlarge": "0", "rotate": "0", "gravity": "centre"}
    if {"w", "h"} & given_names.keys():
        defaults["dpr"] = "1"
    if {"w", "h"} <= given_names.keys():
        defaults["fit"] = "cover"
    spelt = list((defaults | given_names).items())
    assert parse(spelt, KNOWN) == transform


@pytest.mark.parametrize(
    "spellings",
    [
        ("", "strip=1", "strip=0", "rotate=0", "rotate=360", "gravity=north", "enlarge=1", "fit=inside"),
        ("w=300", "w=150&dpr=2", "w=300&gravity=north", "w=300&fit=inside", "w=300&enlarge=0", "w=0300"),
        ("w=300&h=200", "w=300&h=200&fit=cover", "h=200&w=300&gravity=center",
         "w=300&h=200&gravity=0.5,0.50"),
        ("w=300&h=200&gravity=north", "w=300&h=200&gravity=0.5,0", "w=300&h=200&gravity=.5,0.00"),
        ("w=300&h=200&fit=fill", "w=300&h=200&fit=fill&gravity=north",
         "w=300&h=200&fit=fill&gravity=entropy"),
        ("bg=ff0000", "bg=f00", "bg=red", "bg=RED", "bg=%23f00", "bg=ff0000ff", "bg=f00f"),
        ("bg=00000000", "bg=transparent", "bg=0000"),
        ("format=jpeg", "format=jpg"),
        ("format=png", "format=png&q=80"),
        ("rotate=180", "flip=hv", "flip=vh"),
        ("flip=v", "flip=h&rotate=180"),
        ("flip=h&rotate=90", "flip=v&rotate=270"),
        ("rotate=30&flip=v", "rotate=210&flip=h"),
        ("rotate=10", "rotate=190&flip=hv"),
        ("w=1&rotate=180&flip=hv", "w=1"),
        ("blur=2", "blur=2.0", "blur=2.001", "blur=02"),
        ("watermark=logo", "watermark=logo.3fa9c12b4d5e"),
    ],
)  # fmt: skip
def test_equal_pictures_are_equal_transforms(spellings: tuple[str, ...]) -> None:
    found = {read(each) for each in spellings}
    assert len(found) == 1, found
    assert len({each.canonical() for each in found}) == 1


def test_different_pictures_are_different_transforms() -> None:
    different = (
        "", "w=300", "h=300", "w=300&h=300", "w=300&h=300&fit=inside", "w=300&h=300&gravity=north",
        "w=300&h=300&gravity=0.5,0.1", "w=300&enlarge=1", "rotate=90", "rotate=90&flip=h", "rotate=90&flip=v",
        "flip=h", "flip=v", "rotate=180", "bg=red", "bg=ff000080", "format=auto", "format=webp",
         "format=webp&q=80",
        "q=80", "w=300&strip=0", "trim=0", "trim=1", "crop=0,0,1,1", "blur=1", "sharpen=1", "watermark=logo",
    )  # fmt: skip
    assert len({read(each).canonical() for each in different}) == len(different)


def test_every_parameter_is_written_under_its_name() -> None:
    assert {each.name for each in fields(Transform)} == NAMES - {"preset", "dpr"}
    assert set(GOOD) == NAMES - {"preset"}
    assert set(POINTS.values()) == set(COMPASS)
    assert ORIGINAL.canonical() == ""


@given(
    st.integers(1, 1000), numbers(1, 4), st.lists(st.integers(1, 8000), unique=True, max_size=6).map(sorted)
)
def test_sides_snap_upwards_to_those_that_are_allowed(width: int, dpr: str, allowed: list[int]) -> None:
    known = replace(KNOWN, sides=tuple(allowed))
    found = parse([("w", str(width)), ("dpr", dpr)], known)
    wanted = max(1, round(width * float(dpr)))
    assert found.w == (
        min((each for each in allowed if each >= wanted), default=allowed[-1]) if allowed else wanted
    )
    assert read(found.canonical(), known) == found


def test_presets() -> None:
    assert read("preset=thumb") == THUMB
    for query, field in (("preset=none", "preset"), ("preset=thumb&w=20", "preset"), ("preset=", "preset")):
        with pytest.raises(InvalidField) as caught:
            read(query)
        assert caught.value.field == field


def test_a_watermark_that_looks_different_is_a_different_transform() -> None:
    changed = replace(KNOWN, watermarks=dict(KNOWN.watermarks) | {"logo": "logo.ffffffffffff"})
    old, new = read("w=10&watermark=logo"), read("w=10&watermark=logo", changed)
    assert (old.canonical(), new.canonical()) == (
        "w=10&watermark=logo.3fa9c12b4d5e",
        "w=10&watermark=logo.ffffffffffff",
    )
    assert etag("id", old.canonical()) != etag("id", new.canonical())
    with pytest.raises(InvalidField) as caught:  # what it looked like is no longer to be had
        read(old.canonical(), changed)
    assert caught.value.limit == ["a-b_2", "logo"]


# Bad values


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("w=0", "w"), ("w=-1", "w"), ("w=1e9", "w"), ("w=1000000000", "w"), ("w=8193", "w"), ("w=", "w"),
        ("w=2.5", "w"),
        ("w=5000&dpr=2", "w"), ("h=0", "h"), ("w=8000&h=8000", "w"), ("w=10&w=10", "w"), ("w=٣", "w"),
        ("w= 3", "w"),
        ("fit=cover", "fit"), ("w=10&fit=fill", "fit"), ("w=10&h=10&fit=stretch", "fit"), ("dpr=2", "dpr"),
        ("w=10&dpr=5", "dpr"), ("w=10&dpr=0.5", "dpr"), ("w=10&dpr=nan", "dpr"),
        ("w=10&h=9&gravity=up", "gravity"),
        ("w=10&h=9&gravity=1.1,0", "gravity"), ("w=10&h=9&gravity=0.5,", "gravity"),
        ("w=10&h=9&gravity=-0.5,0", "gravity"), ("w=10&h=9&fit=contain&gravity=entropy", "gravity"),
        ("crop=1,2,3", "crop"), ("crop=0,0,0,5", "crop"), ("crop=0,0,5,0", "crop"), ("crop=-1,0,5,5", "crop"),
        ("crop=1,2,3,4,5", "crop"), ("crop=1,2,3,9999999", "crop"), ("trim=255", "trim"),
        ("rotate=361", "rotate"),
        ("rotate=-90", "rotate"), ("flip=x", "flip"), ("blur=0", "blur"), ("blur=251", "blur"),
        ("blur=inf", "blur"),
        ("sharpen=11", "sharpen"), ("bg=reddish", "bg"), ("bg=ff", "bg"), ("bg=ggg", "bg"),
        ("watermark=x", "watermark"), ("watermark=logo.", "watermark"),
        ("watermark=logo.000000000000", "watermark"),
        ("format=svg", "format"), ("format=", "format"), ("q=0", "q"), ("q=101", "q"), ("strip=yes", "strip"),
        ("enlarge=2", "enlarge"), ("colour=red", "colour"), ("W=10", "W"),
    ],
)  # fmt: skip
def test_bad_values_are_named(query: str, field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        read(query)
    assert caught.value.field == field
    assert len(caught.value.detail) < 400


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(READERS)) | st.text(max_size=70), st.text(max_size=70)), max_size=6
    )
)
@example([("w", "9" * 5000)])
@example([("bg", "#" * 5000)])
@example([("\0", "\ud800")])
@example([("gravity", ",")])
@example([("crop", ",,,")])
def test_nothing_brings_the_parser_down(query: list[tuple[str, str]]) -> None:
    found = outcome(query)
    if isinstance(found, Transform):
        assert read(found.canonical()) == found
    else:
        assert found.field is not None
        assert len(found.field) <= 40
        assert found.to_json()


#: Words of the language in any order: closer to the edges than any text.
pieces = st.lists(
    st.sampled_from([*"019.,-+e#fx%&=_hv²١", "auto", "centre", "0.5", "360", "254", "250", "8192", "10000"]),
    max_size=6,
).map("".join)


@given(st.dictionaries(st.sampled_from(sorted(READERS)), pieces, max_size=5))
def test_nor_do_words_that_look_like_values(query: dict[str, str]) -> None:
    found = outcome(list(query.items()))
    if isinstance(found, Transform):
        assert read(found.canonical()) == found
        assert (found.w or 1) * (found.h or 1) <= KNOWN.max_pixels
    else:
        assert found.field in READERS
