"""Entity tags against RFC 9110, sections 8.8.3 and 13.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.http.conditional import if_range, match, none_match, read_date

TAG = b'"xyzzy"'


@pytest.mark.parametrize(
    "header",
    ['"xyzzy"', 'W/"xyzzy"', '"xyzzy", "r2d2xxxx", "c3piozzzz"', '"a","xyzzy"', 'W/"a", W/"xyzzy"', "*",
     " * ", '"a,b", "xyzzy"', ',, "xyzzy"'],
)  # fmt: skip
def test_the_client_has_it(header: str) -> None:
    assert none_match(header.encode(), TAG) is False


@pytest.mark.parametrize(
    "header", ["", '"other"', "xyzzy", '"XYZZY"', '"xyzzy', 'xyzzy"', '"axyzzy"', "**", 'W/"other"', '"*"']
)
def test_the_client_does_not_have_it(header: str) -> None:
    assert none_match(header.encode(), TAG) is True


@pytest.mark.parametrize(
    ("header", "keeps"),
    [('"xyzzy"', True), ('W/"xyzzy"', False), ('"other"', False), ("Sat, 29 Oct 1994 19:43:31 GMT", False)],
)
def test_if_range_takes_the_same_strong_tag_only(header: str, keeps: bool) -> None:
    assert if_range(header.encode(), TAG) is keeps


@pytest.mark.parametrize("header", ['"xyzzy"', 'W/"xyzzy"', '"a", W/"xyzzy"', '"a", "xyzzy"', "*"])
def test_a_weak_tag_is_good_for_if_none_match_alone(header: str) -> None:
    """RFC 9110, 8.8.3.2: the table of comparisons."""
    weak = b'W/"xyzzy"'
    assert none_match(header.encode(), weak) is False
    assert if_range(header.encode(), weak) is False
    assert match(header.encode(), weak) is (header == "*")


@given(st.lists(st.text("abcxyz,*", max_size=6)), st.booleans())
def test_a_list_holds_the_tag_or_it_does_not(names: list[str], weak: bool) -> None:
    header = ", ".join(f'{"W/" if weak else ""}"{name}"' for name in names).encode()
    assert none_match(header, b'"xyz"') is ("xyz" not in names)


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        ('"xyzzy"', True),
        ("*", True),
        ('"a", "xyzzy"', True),
        ('W/"xyzzy"', False),
        ('"other"', False),
        ("", False),
    ],
)
def test_if_match_takes_strong_tags_only(header: str, holds: bool) -> None:
    assert match(header.encode(), TAG) is holds


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("yesterday", None),
        ("", None),
        ("Mon, 99 Foo 2022", None),
        ("x" * 100, None),
        ("é", None),
    ],
)
def test_dates_of_every_form(date: str, moment: int | None) -> None:
    """The examples of RFC 9110, 5.6.7."""
    assert read_date(date.encode("latin-1")) == moment
