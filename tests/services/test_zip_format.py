"""The bytes of an archive, read back by others."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.services.zip_format import Member, ZipWriter, length_of
from tests.services.archives import TOOLS, contents, extract

AT = datetime(2026, 7, 1, 10, 20, 31, tzinfo=UTC)
GIB = 1 << 30


def archive(files: dict[str, bytes], at: datetime = AT) -> bytes:
    writer, out = ZipWriter(), io.BytesIO()
    for name, data in files.items():
        out.write(writer.begin(Member(name, len(data), zlib.crc32(data), at)))
        out.write(data)
        assert out.tell() == writer.offset
    for piece in writer.end():
        out.write(piece)
    return out.getvalue()


FILES = {"00-füchse im Schnee.webp": b"one" * 1000, "01-狐.png": b"", "é.bin": b"\0" * 70_000}


def test_what_goes_in_comes_out() -> None:
    assert contents(archive(FILES)) == FILES
    assert contents(archive({})) == {}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_reader_likes_it(tmp_path: Path, tool: str) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(archive(FILES))
    said = extract(tool, path)
    if tool == "bsdtar":
        assert said == b"".join(FILES.values())


def test_sizes_and_checksums_stand_in_front_of_the_bytes() -> None:
    """Readers that cannot seek find the end of each file, and no data descriptor confuses any."""
    data = archive(FILES)
    at = 0
    for name, body in FILES.items():
        fields = struct.unpack_from("<4s5H3L2H", data, at)
        assert (fields[0], fields[3]) == (b"PK\3\4", zipfile.ZIP_STORED)
        assert fields[2] == 1 << 11, "names are UTF-8, and there is no descriptor"
        assert fields[6:9] == (zlib.crc32(body), len(body), len(body))
        at += 30 + fields[9] + fields[10] + len(body)
        assert data[at - len(body) : at] == body
        assert name.encode() in data
    assert data[at : at + 4] == b"PK\1\2"


def test_equal_calls_give_equal_bytes_whatever_the_zone() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert archive(FILES) == archive(FILES, elsewhere)
    (info, *_) = zipfile.ZipFile(io.BytesIO(archive(FILES))).infolist()
    assert info.date_time == (2026, 7, 1, 10, 20, 30)
    assert info.extra == struct.pack("<2HBl", 0x5455, 5, 1, int(AT.timestamp()))


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(1969, 12, 31, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(2040, 2, 3, 4, 5, 6, tzinfo=UTC), (2040, 2, 3, 4, 5, 6)),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_that_the_format_cannot_hold(at: datetime, shown: tuple[int, ...]) -> None:
    (info,) = zipfile.ZipFile(io.BytesIO(archive({"a": b"b"}, at))).infolist()
    assert info.date_time == shown
    assert (len(info.extra) == 9) == (0 <= at.timestamp() < 1 << 31)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=50), st.integers(0, 6 * GIB)), max_size=8))
def test_the_length_is_known_beforehand(files: list[tuple[str, int]]) -> None:
    members = [Member(f"{n}{name}", size, 0, AT) for n, (name, size) in enumerate(files)]
    writer, length = ZipWriter(), 0
    for member in members:
        length += len(writer.begin(member)) + member.size
    length += sum(map(len, writer.end()))
    assert length_of(members) == length


def sparse(path: Path, sizes: list[int]) -> list[Member]:
    """An archive of files that are holes, which takes no room on the disk; small ones have right CRCs."""
    writer, members = ZipWriter(), []
    with path.open("wb") as file:
        for number, size in enumerate(sizes):
            member = Member(f"{number}.bin", size, zlib.crc32(bytes(size)) if size < GIB else 0, AT)
            members.append(member)
            file.write(writer.begin(member))
            file.seek(size, io.SEEK_CUR)
        for piece in writer.end():
            file.write(piece)
    return members


@pytest.mark.parametrize(
    "sizes",
    [
        [3 * GIB, 10, 2 * GIB, 20],  # an offset that is too large
        [10, 4 * GIB + 5, 20],  # a size
        [4 * GIB - 1, 20],  # the size that means "look elsewhere"
        [4 * GIB - 300, 20],  # the directory's offset only, or nothing
    ],
)
def test_beyond_four_gib(tmp_path: Path, sizes: list[int]) -> None:
    path = tmp_path / "large.zip"
    members = sparse(path, sizes)
    assert path.stat().st_size == length_of(members)
    with zipfile.ZipFile(path) as opened:
        assert [info.file_size for info in opened.infolist()] == sizes
        with path.open("rb") as file:
            for info in opened.infolist():
                file.seek(info.header_offset + 4)
                (version,) = struct.unpack("<H", file.read(2))
                assert (version == 45) == (info.file_size >= 4 * GIB - 1)
        for member in members:
            if member.size < GIB:
                assert opened.read(member.name) == bytes(member.size)


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_more_files_than_a_short_field_counts(count: int) -> None:
    data = archive({f"{number}.bin": b"" for number in range(count)})
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert len(opened.namelist()) == count
    assert (b"PK\6\6" in data[-98:]) == (count >= 65_535)
