"""What may come in, what is refused, and why."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imaging_pictures import HEIGHT, OTHERS, PICTURES, REFUSED, WIDTH, animation, oriented, png_bomb, scene

from ferrotype.domain.problems import InvalidField, Problem, TooLarge, UnsupportedMedia
from ferrotype.imaging.inspect import ImageInfo, inspect, peek
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.sniff import ACCEPTED, MAGIC, sniff
from ferrotype.imaging.structure import MAX_SUB_BLOCKS, is_whole, is_whole_picture

LIMITS = ImagingSettings()


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("name", PICTURES)
def test_the_facts_of_every_accepted_type(name: str, verify: bool, tmp_path: Path) -> None:
    data, content_type, extension = PICTURES[name]
    path = tmp_path / "no extension [n=-1]"
    path.write_bytes(data)
    info = inspect(data, LIMITS, verify=verify)
    assert inspect(path, LIMITS, verify=verify) == info
    assert (info.content_type, info.extension, info.bytes) == (content_type, extension, len(data))
    assert (info.width, info.height, info.orientation) == (WIDTH, HEIGHT, 1)
    assert info.frames == (3 if name in ("webp-animated", "gif-animated") else 1)
    assert info.animated is (name in ("apng", "webp-animated", "gif-animated"))
    if not name.startswith("gif"):
        assert info.has_alpha is (name in ("png-interlaced", "webp-alpha"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_the_size_is_the_one_that_is_shown(suffix: str, orientation: int) -> None:
    data = oriented(scene(), orientation).write_to_buffer(suffix)
    info = inspect(data, LIMITS, verify=True)
    shown = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    assert (info.width, info.height) == shown
    if suffix != ".avif":  # its loader turns the picture itself
        assert info.orientation == orientation
    if suffix != ".webp":
        assert peek(data) == shown


@pytest.mark.parametrize("name", REFUSED)
def test_other_types_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        inspect(REFUSED[name], LIMITS, field="mask")
    assert caught.value.field == "mask"
    assert name.upper() in caught.value.detail
    assert "image/webp" in caught.value.limit  # type: ignore[operator]


@pytest.mark.parametrize("name", OTHERS)
def test_no_picture(name: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        inspect(OTHERS[name], LIMITS, verify=True)
    assert caught.value.field == "image"


def test_nothing() -> None:
    with pytest.raises(InvalidField, match="empty") as caught:
        inspect(b"", LIMITS)
    assert caught.value.field == "image"


def test_a_missing_file_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "none", LIMITS)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_cut_short_anywhere(name: str) -> None:
    data = PICTURES[name][0]
    if name == "tiff-tiled":
        data = data[:-8]  # its last bytes say that no other picture follows; nobody needs them
    cuts = {*range(1, len(data), max(1, len(data) // 60)), *range(len(data) - 20, len(data))}
    for cut in sorted(cuts):
        with pytest.raises((InvalidField, UnsupportedMedia)) as caught:
            inspect(data[:cut], LIMITS, verify=True)
        assert caught.value.field == "image"
        if cut > 64:
            assert isinstance(caught.value, InvalidField), cut


def test_a_picture_with_a_broken_checksum_in_its_data() -> None:
    data = bytearray(PICTURES["png"][0])
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InvalidField):
        inspect(bytes(data), LIMITS, verify=True)


@pytest.mark.parametrize(
    ("width", "height", "limit"),
    [
        (100_000, 100_000, LIMITS.max_side),
        (2**31 - 1, 2**31 - 1, LIMITS.max_side),
        (2**32 - 1, 1, LIMITS.max_side),
        (1, 16_385, LIMITS.max_side),
        (16_384, 16_384, LIMITS.max_pixels),
        (8192, 8193, LIMITS.max_pixels),
        (0, 5, None),
        (5, 0, None),
    ],
)
def test_a_bomb_is_refused_by_its_header(width: int, height: int, limit: int | None) -> None:
    with pytest.raises(InvalidField) as caught:
        inspect(png_bomb(width, height), LIMITS, verify=True)
    assert (caught.value.field, caught.value.limit) == ("image", limit)


def test_a_bomb_within_the_bounds_is_merely_damaged() -> None:
    assert inspect(png_bomb(8192, 8192), LIMITS).width == 8192
    with pytest.raises(InvalidField, match="damaged"):
        inspect(png_bomb(8192, 8192), LIMITS, verify=True)


@pytest.mark.parametrize("name", ["jpeg", "webp", "gif", "avif", "tiff"])
def test_the_bounds_hold_for_every_type(name: str) -> None:
    data = PICTURES[name][0]
    for limits, limit in (
        (ImagingSettings(max_side=WIDTH - 1), WIDTH - 1),
        (ImagingSettings(max_pixels=WIDTH * HEIGHT - 1), WIDTH * HEIGHT - 1),
    ):
        with pytest.raises(InvalidField) as caught:
            inspect(data, limits)
        assert (caught.value.field, caught.value.limit) == ("image", limit)
    inspect(data, ImagingSettings(max_side=WIDTH, max_pixels=WIDTH * HEIGHT))


@pytest.mark.parametrize("name", ["gif-animated", "webp-animated"])
def test_frames_are_counted_and_share_the_bound_of_pixels(name: str) -> None:
    data = PICTURES[name][0]
    with pytest.raises(InvalidField) as caught:
        inspect(data, ImagingSettings(max_frames=2))
    assert caught.value.limit == 2
    with pytest.raises(InvalidField, match="3 frames") as caught:
        inspect(data, ImagingSettings(max_pixels=WIDTH * HEIGHT * 3 - 1))
    assert (
        inspect(data, ImagingSettings(max_frames=3, max_pixels=WIDTH * HEIGHT * 3), verify=True).frames == 3
    )


def test_a_later_frame_that_is_missing_is_found() -> None:
    data = animation(6).gifsave_buffer()
    with pytest.raises(InvalidField):
        inspect(data[: len(data) * 2 // 3], LIMITS, verify=True)


@pytest.mark.parametrize("name", [name for name in PICTURES if not name.startswith("tiff")])
def test_the_end_of_a_file_is_missed(name: str, tmp_path: Path) -> None:
    data = PICTURES[name][0]
    kind = sniff(data)
    assert kind is not None
    assert is_whole(data, kind)
    assert is_whole(data + b"anything", kind)
    path = tmp_path / "picture"
    path.write_bytes(data)
    assert is_whole_picture(path)
    for cut in (len(data) - 1, len(data) * 2 // 3, len(data) // 2, len(data) // 4):
        assert not is_whole(data[:cut], kind), cut
        path.write_bytes(data[:cut])
        assert not is_whole_picture(path), cut
    path.write_bytes(b"<html>")
    assert not is_whole_picture(path)


def test_a_thumbnail_s_end_is_not_the_picture_s() -> None:
    data = PICTURES["jpeg"][0]
    inner = b"Exif\0\0" + data
    framed = data[:2] + b"\xff\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + data[2:]
    kind = sniff(data)
    assert kind is not None
    assert is_whole(framed, kind)
    assert not is_whole(framed[:-2], kind)


@pytest.mark.parametrize("name", ["gif", "gif-animated"])
def test_a_gif_is_walked_to_its_end(name: str) -> None:
    data = PICTURES[name][0]
    kind = sniff(data)
    assert kind is not None
    assert is_whole(data, kind)
    assert is_whole(data + b"anything", kind)
    assert not any(is_whole(data[:cut], kind) for cut in range(13, len(data)))
    assert not is_whole(data[:-1] + b"?", kind)
    endless = data[:13] + bytes(3 << (data[10] & 7) + 1) + b"!\xfe" + b"\1x" * (MAX_SUB_BLOCKS + 1) + b"\0;"
    assert not is_whole(endless, kind)


def test_too_many_bytes(tmp_path: Path) -> None:
    data = PICTURES["tiff"][0]
    limits = ImagingSettings(max_upload_bytes=1024)
    path = tmp_path / "x"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(TooLarge) as caught:
            inspect(source, limits)
        assert (caught.value.field, caught.value.limit) == ("image", 1024)


def test_a_tiff_with_a_crowd_of_channels() -> None:
    data = pyvips.Image.black(4, 4, bands=40).tiffsave_buffer()
    with pytest.raises(InvalidField, match="40 channels"):
        inspect(data, LIMITS)


def test_polyglots_are_what_their_first_bytes_say() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("index.html", "<script>alert(1)</script>")
    for name in ("png", "jpeg", "gif", "webp"):
        data, content_type, _ = PICTURES[name]
        for tail in (archive.getvalue(), b"<html><script>alert(1)</script></html>"):
            assert inspect(data + tail, LIMITS, verify=True).content_type == content_type
    for head in (archive.getvalue(), b"<html>", b"\n", b"<svg>"):
        with pytest.raises(UnsupportedMedia):
            inspect(head + PICTURES["png"][0], LIMITS, verify=True)


def test_a_wrong_magic_does_not_reach_another_loader() -> None:
    """PNG's first bytes before a JPEG: libvips would look for a loader, we do not let it."""
    for name in ("jpeg", "webp", "gif", "tiff"):
        with pytest.raises(InvalidField):
            inspect(b"\x89PNG\r\n\x1a\n" + PICTURES[name][0][8:], LIMITS, verify=True)


def test_untrusted_loaders_are_off_and_our_own_drawings_still_work(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2\n")
    assert pyvips.Image.svgload_buffer(REFUSED["svg"]).width == 9
    with pytest.raises(pyvips.Error, match="blocked"):
        pyvips.Image.csvload(str(tmp_path / "x.csv"))


@pytest.mark.parametrize("name", PICTURES)
def test_peek_tells_the_size_early_or_says_that_it_cannot(name: str, tmp_path: Path) -> None:
    data = PICTURES[name][0]
    path = tmp_path / "x"
    path.write_bytes(data)
    assert peek(data) == peek(path) == (WIDTH, HEIGHT)
    found = [peek(data[:cut]) for cut in range(1, len(data), max(1, len(data) // 50))]
    assert set(found) <= {None, (WIDTH, HEIGHT)}
    if not name.startswith(("avif", "tiff", "gif")):
        assert peek(data[:1024]) == (WIDTH, HEIGHT)


def test_peek_judges_nothing() -> None:
    assert peek(png_bomb(100_000, 100_000)) == (100_000, 100_000)
    for data in (b"", *REFUSED.values(), *OTHERS.values()):
        assert peek(data) is None


def lands(data: bytes) -> None:
    """Any bytes end in facts or in a problem."""
    limits = ImagingSettings(max_pixels=1024 * 1024, max_side=4096, max_frames=16)
    ended: ImageInfo | Problem
    try:
        ended = inspect(data, limits, verify=True)
    except Problem as problem:
        ended = problem
    assert isinstance(ended, ImageInfo) or ended.field == "image"
    size = peek(data)
    assert size is None or len(size) == 2


@given(
    st.sampled_from([magic for magic, _ in MAGIC] + [b"RIFF1234WEBP", b"\0\0\0\x18ftypavif", b""]),
    st.binary(),
)
@settings(deadline=None)
def test_random_bytes_never_break_it(magic: bytes, data: bytes) -> None:
    lands(magic + data)


@given(
    st.sampled_from(sorted(PICTURES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6),
)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_pictures_never_break_it(name: str, damage: list[tuple[float, bytes]]) -> None:
    data = bytearray(PICTURES[name][0])
    for where, what in damage:
        at = int(where * len(data))
        data[at : at + len(what)] = what
    lands(bytes(data))


@given(st.binary(min_size=0, max_size=60), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_any_png_header(tail: bytes, width: int, height: int) -> None:
    lands(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + tail)


def test_every_accepted_type_has_a_fixture() -> None:
    assert {kind.content_type for kind in ACCEPTED} == {
        content_type for _, content_type, _ in PICTURES.values()
    }
