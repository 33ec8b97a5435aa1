"""Signed URLs."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import Forbidden, InvalidField
from ferrotype.net.signing import LENGTH, MAX_SECONDS, UrlSigner

KEY, OLD = b"a key of at least sixteen bytes", b"another key, older than the first"
PATH = "/images/019b76da-a801-7145-a1e6-69ff6d7e96cf"


def taken_apart(url: str) -> tuple[str, list[tuple[str, str]]]:
    parts = urlsplit(url)
    return parts.path, parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)


LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_signed_url_opens_until_it_expires(clock: ManualClock) -> None:
    signer = UrlSigner([KEY], clock)
    path, query = taken_apart(signer.signed(PATH, [("w", "200"), ("format", "auto")], 60)[0])
    assert path == PATH
    assert len(dict(query)["sig"]) == LENGTH
    now = int(clock.now().timestamp())
    assert signer.check(path, query) == now + 60
    assert signer.check(path, query[::-1]) == now + 60
    clock.advance(59)
    signer.check(path, query)
    clock.advance(1)
    with pytest.raises(Forbidden, match="expired") as caught:
        signer.check(path, query)
    assert (caught.value.field, caught.value.limit) == ("exp", now + 60)


def test_nothing_of_it_may_be_changed(clock: ManualClock) -> None:
    signer = UrlSigner([KEY], clock)
    path, query = taken_apart(signer.signed(PATH, [("w", "200")], 60)[0])
    others = [
        (path[:-1] + "0", query),
        (path, [("w", "201"), *query[1:]]),
        (path, [*query, ("h", "5")]),
        (path, query[1:]),
        (path, [*query, ("w", "200")]),
        (path, [("exp", "99999999999") if name == "exp" else (name, value) for name, value in query]),
        (path, [(name, value[:-1] if name == "sig" else value) for name, value in query]),
        (path, [*query, ("sig", "x")]),
        (path, [pair for pair in query if pair[0] != "exp"]),
        (path, [*query, ("exp", "99999999999")]),
    ]
    for other in others:
        with pytest.raises(Forbidden) as caught:
            signer.check(*other)
        assert caught.value.field == "sig"


def test_without_a_signature_nothing_is_claimed(clock: ManualClock) -> None:
    signer = UrlSigner([KEY], clock)
    assert signer.check(PATH, [("w", "200")]) is None
    with pytest.raises(Forbidden):
        signer.check(PATH, [("exp", "99999999999")])


def test_keys_are_changed_without_a_url_breaking(clock: ManualClock) -> None:
    before, between, after = UrlSigner([OLD], clock), UrlSigner([KEY, OLD], clock), UrlSigner([KEY], clock)
    old, new = (taken_apart(signer.signed(PATH, [], 60)[0]) for signer in (before, between))
    for url in (old, new):
        assert between.check(*url)
    assert after.check(*new)
    with pytest.raises(Forbidden):
        after.check(*old)


@pytest.mark.parametrize("seconds", [0, -1, MAX_SECONDS + 1])
def test_a_time_that_is_none(clock: ManualClock, seconds: int) -> None:
    with pytest.raises(InvalidField) as caught:
        UrlSigner([KEY], clock).signed(PATH, [], seconds)
    assert caught.value.limit == MAX_SECONDS


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, b"short"]])
def test_keys_that_are_none(clock: ManualClock, keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        UrlSigner(keys, clock)


@given(
    st.lists(
        st.tuples(LINES.filter(lambda name: name not in ("", "exp", "sig")), LINES),
        unique_by=lambda pair: pair[0],
    ),
    st.integers(1, MAX_SECONDS),
)
def test_any_query_survives_signing(query: list[tuple[str, str]], seconds: int) -> None:
    clock = ManualClock()
    signer = UrlSigner([KEY], clock)
    path, found = taken_apart(signer.signed(PATH, query, seconds)[0])
    assert found[: len(query)] == query
    expires = clock.now() + timedelta(seconds=seconds)
    assert signer.check(path, found) == int(expires.timestamp())


@pytest.mark.parametrize("pairs", [[("w", "1"), ("w", "2")], [("dl", "a\nw=5")], [("a\nb", "1")]])
def test_what_could_be_read_in_two_ways(clock: ManualClock, pairs: list[tuple[str, str]]) -> None:
    signer = UrlSigner([KEY], clock)
    with pytest.raises(InvalidField):
        signer.signed(PATH, pairs, 60)
    with pytest.raises(Forbidden):
        signer.check(PATH, [*pairs, ("exp", "99999999999"), ("sig", "x" * LENGTH)])


@pytest.mark.parametrize("moment", ["", "never", "1795300000.5", "1e12", "-5", "9" * 400, "٣"])
def test_a_moment_that_is_none_is_refused_though_signed(clock: ManualClock, moment: str) -> None:
    lines = f"{PATH}\nexp={moment}".encode()
    made = urlsafe_b64encode(hmac.digest(KEY, lines, "sha256")).rstrip(b"=").decode()
    with pytest.raises(Forbidden) as caught:
        UrlSigner([KEY], clock).check(PATH, [("exp", moment), ("sig", made)])
    assert caught.value.field == "exp"


@given(st.lists(st.tuples(st.sampled_from(["exp", "sig", "w"]), st.text()), max_size=5))
def test_whatever_comes_is_let_in_or_refused(query: list[tuple[str, str]]) -> None:
    signer = UrlSigner([KEY], ManualClock())
    try:
        assert signer.check(PATH, query) is None
    except Forbidden:
        assert {name for name, _ in query} & {"exp", "sig"}
