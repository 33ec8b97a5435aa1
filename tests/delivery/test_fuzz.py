"""Whatever is asked, the answer is one that HTTP knows, and never our fault."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrotype.domain.transform_query import COLORS, FITS, FORMATS, GRAVITIES, NAMES
from ferrotype.http.picture_query import OTHERS
from tests.delivery.conftest import World
from tests.delivery.driver import Client
from tests.imaging.imaging_pictures import PICTURES

#: 500 is ours; 502 is a picture that cannot be decoded, which none of these is.
ALLOWED = {200, 206, 304, 403, 404, 405, 416, 422}

numbers = st.one_of(
    st.integers(-10, 10_000).map(str),
    st.floats(0, 300, allow_nan=False).map(lambda number: f"{number:g}"),
    st.sampled_from(["0", "1", "", "1e9", "NaN", "0x10", "٣", "1_0", "+1", " 1"]),
)
words = st.sampled_from(
    [*FITS, *FORMATS, *GRAVITIES, *COLORS, "h", "v", "hv", "0.5,0.5", "0,0,10,10", "logo"]
)
values = st.one_of(numbers, words, st.text(max_size=8))
names = st.one_of(st.sampled_from(sorted(NAMES | OTHERS)), st.text(max_size=5))
pairs = st.lists(st.tuples(names, values), max_size=5)
suffixes = st.one_of(
    st.sampled_from(["", ".png", ".webp", "/info", "/", ".svg", "/../x", "%2f"]), st.text(max_size=6)
)
headers = st.dictionaries(
    st.sampled_from(
        ["Accept", "Range", "If-Range", "If-None-Match", "If-Modified-Since", "Authorization", "Origin"]
    ),
    st.one_of(
        st.sampled_from(["*/*", "image/avif,image/webp", "bytes=0-9", "bytes=-5", "*", 'W/"x"', "Bearer x"]),
        st.sampled_from(["Sat, 01 Jan 2022 00:00:00 GMT", "Mon, 99 Foo 2022", "bytes=9-1", "image/webp;q=0"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
    ),
    max_size=4,
)


@given(
    st.sampled_from(["GET", "HEAD", "OPTIONS", "POST"]),
    st.sampled_from(sorted(PICTURES)),
    suffixes,
    pairs,
    headers,
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_request(
    world: World,
    client: Client,
    tmp_path: Path,
    method: str,
    kind: str,
    suffix: str,
    query: list[tuple[str, str]],
    sent: dict[str, str],
) -> None:
    from urllib.parse import quote, urlencode

    known = world.__dict__.setdefault("fuzzed", {})
    if kind not in known:
        known[kind] = await world.stored(PICTURES[kind][0], content_type=PICTURES[kind][1])
    url = f"/images/{known[kind]}{quote(suffix, safe='/%.')}?{urlencode(query, errors='surrogatepass')}"
    answer = await client.request(method, url, headers={"Host": "127.0.0.1", **sent})
    assert answer.status in ALLOWED or (answer.status, method) == (204, "OPTIONS"), (url, sent, answer.body)
    if answer.status >= 400 and method != "HEAD":
        assert answer.json()["status"] == answer.status
