"""Entity tags against RFC 9110, sections 8.8.3 and 13.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.http.conditional import if_range, none_match

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


@given(st.lists(st.text("abcxyz,*", max_size=6)), st.booleans())
def test_a_list_holds_the_tag_or_it_does_not(names: list[str], weak: bool) -> None:
    header = ", ".join(f'{"W/" if weak else ""}"{name}"' for name in names).encode()
    assert none_match(header, b'"xyz"') is ("xyz" not in names)
