"""Sizes, rates and times as people write them, and what is seen of a chore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from ferrotype.cli.watching import Seen
from ferrotype.cli.words import pictures, read_rate, read_span, size, span
from ferrotype.config import ConfigError
from ferrotype.domain.problems import InvalidField
from ferrotype.storage.collections.rows import Fields, moment, picture_of, told


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50MB/s", 50e6),
        ("50mb", 50e6),
        ("8MiB/s", 8 * 2**20),
        ("1.5GB/s", 1.5e9),
        ("200k", 200e3),
        ("4096", 4096),
        ("300 kB/s", 300e3),
        (None, None),
    ],
)
def test_rates(text: str | None, rate: float | None) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-1MB/s", "0", "5PB/s", "1e6"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ConfigError, match="--rate"):
        read_rate(text)


def test_times() -> None:
    assert read_span("24h", "--x") == timedelta(hours=24)
    assert read_span("90min", "--x") == read_span("1.5h", "--x")
    assert read_span("2w", "--x") == timedelta(days=14)
    with pytest.raises(ConfigError, match="--x"):
        read_span("soon", "--x")
    assert [span(seconds) for seconds in (0.25, 12, 192, 7_380)] == [
        "0.2 s",
        "12 s",
        "3 min 12 s",
        "2 h 3 min",
    ]


def test_sizes() -> None:
    counts = (0, 999, 1_000, 2_345_678, 345_678_901, 5e15)
    assert [size(count) for count in counts] == ["0 B", "999 B", "1.0 kB", "2.3 MB", "346 MB", "5.0 PB"]
    assert [pictures(count) for count in (0, 1, 1204)] == ["0 pictures", "1 picture", "1,204 pictures"]


def test_a_line_now_and_then() -> None:
    now, file = 0.0, StringIO()
    seen = Seen("copying", 400, Console(file=file, width=40), None, lambda: now)
    for _ in range(100):
        now += 0.25
        seen.done(1, 1_000_000)
    lines = file.getvalue().splitlines()
    assert lines == [
        "copying 40 of 400, 40.0 MB, 4.0 MB/s (10 %), about 1 min 30 s left",
        "copying 80 of 400, 80.0 MB, 4.0 MB/s (20 %), about 1 min 20 s left",
    ]
    assert seen.summary(100, 100_000_000) == "100 pictures, 100 MB, in 25 s (4.0 MB/s)"


@pytest.mark.parametrize(
    "value",
    [
        "2020-01-02T03:04:05Z",
        "2020-01-02 03:04:05+00:00",
        "2020-01-02T03:04:05",
        1577934245,
        1577934245000,
        "1577934245",
    ],
)
def test_dates(value: object) -> None:
    assert moment(value) == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("value", ["yesterday", None, True, 1e300, "", {}])
def test_what_is_no_date(value: object) -> None:
    assert moment(value) is None


@pytest.mark.parametrize(
    "text",
    [
        "aGVsbG8_-w==",
        "aGVsbG8/+w",
        "aGVs\nbG8/ +w==",
        "data:image/png;base64,aGVsbG8/%2Bw==",
        "data:,hello?%fb",
    ],
)
def test_base64_in_all_its_forms(text: str) -> None:
    assert picture_of(text) == b"hello?\xfb"


def test_what_a_row_says() -> None:
    row = {
        "id": 7,
        "src": "http://x/1.png",
        "prompt": "a fox",
        "tags": "a; b,c",
        "large": "x" * 9000,
        "made": "2020",
    }
    found = told(row, Fields(date="made"))
    assert (found.picture, found.name, found.tags) == ("http://x/1.png", "7", ("a", "b", "c"))
    assert found.metadata == {"prompt": "a fox"}
    with pytest.raises(InvalidField, match=r"nothing\.here"):
        told(row, Fields("nothing.here"))
