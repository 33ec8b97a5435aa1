"""No workflow and no prompt is left, not a pixel changes, and what else was said is still said."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_pictures import PICTURES, chunk
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from provenance_tools import (
    A1111,
    PROMPT,
    TRAINED,
    WORKFLOW,
    check_pixels,
    complaints,
    jpeg_with_comment,
    picture,
    save_animated_png,
    save_animated_webp,
    save_image,
    split,
    told,
)

from ferrotype.domain.problems import InvalidField, Problem, UnsupportedMedia
from ferrotype.domain.transform import Transform
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.strip import cleaned, passes, stripped, tells
from ferrotype.imaging.provenance.xmp import embedded
from ferrotype.imaging.render import render
from ferrotype.imaging.settings import ImagingSettings

#: Words of the prompt and the workflow, in every way in which they may be written.
SECRETS = [word.encode(form) for word in ("secret", "KSampler", "Sampler") for form in ("utf-8", "utf-16-be")]
WRITERS: dict[str, Callable[[], bytes]] = {
    "SaveImage": save_image,
    "SaveAnimatedPNG": save_animated_png,
    "SaveAnimatedWEBP": save_animated_webp,
    "SaveAnimatedWEBP, moving": lambda: save_animated_webp(3),
    "a JPEG by another node": jpeg_with_comment,
}


def leaked(data: bytes) -> list[bytes]:
    return [word for word in SECRETS if word in data]


def png_with(*chunks: bytes) -> bytes:
    png = PICTURES["png"][0]
    return png[:33] + b"".join(chunks) + png[33:]


@pytest.mark.parametrize("name", WRITERS)
def test_workflow_and_prompt_go(name: str) -> None:
    data = WRITERS[name]()
    assert leaked(data)
    found = stripped(data)
    assert not leaked(found)
    assert len(found) < len(data)
    check_pixels(found, data)
    assert stripped(found) is found


@pytest.mark.parametrize("name", PICTURES)
def test_what_has_none_comes_back_as_it_is(name: str) -> None:
    assert stripped(PICTURES[name][0]) is PICTURES[name][0]


@pytest.mark.parametrize("name", [*WRITERS, *PICTURES])
def test_it_is_known_without_taking_a_file_apart(name: str, tmp_path: Path) -> None:
    data = WRITERS[name]() if name in WRITERS else PICTURES[name][0]
    (tmp_path / "file").write_bytes(data)
    assert tells(data) is tells(tmp_path / "file") is (name in WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_what_tells_never_passes_while_it_arrives(name: str) -> None:
    data = WRITERS[name]()
    verdicts = [passes(data[:end]) for end in (*range(1, 6000), len(data))]
    assert set(verdicts) <= {None, False}
    assert verdicts[-1] is False


@pytest.mark.parametrize("name", PICTURES)
def test_the_beginning_of_an_ordinary_picture_is_enough(name: str) -> None:
    """Save where metadata may come behind the pixels: of an animated PNG, and of a WebP that announces it."""
    data = PICTURES[name][0]
    later = name == "apng" or (name.startswith("webp") and data[12:16] == b"VP8X" and data[20] & 0x0C)
    known = next(end for end in range(16, len(data) + 1) if passes(data[:end]) is not None)
    assert passes(data[:known]) is passes(data) is (not later)
    assert known < max(3000, len(data) / 4)


@pytest.mark.parametrize("name", ["SaveImage", "a JPEG by another node"])
def test_a_damaged_file_that_may_tell_something_is_no_clean_one(name: str) -> None:
    data = WRITERS[name]()
    cut = data[: data.rindex(b"IDAT") if name == "SaveImage" else data.index(b"\xff\xda")]
    assert tells(cut)
    with pytest.raises(InvalidField):
        cleaned(cut)
    harmless = PICTURES["png"][0][:-20]
    assert not tells(harmless)
    assert cleaned(harmless) is harmless
    with pytest.raises(UnsupportedMedia):
        tells(b"no picture")


@pytest.mark.parametrize("form", ["AVIF", "TIFF", "GIF"])
@pytest.mark.parametrize("target", ["avif", "png", "jpeg", "webp"])
def test_no_format_brings_a_workflow_into_a_variant(form: str, target: str) -> None:
    """Those that are not taken apart lose what tells when they are decoded, also with `strip=0`."""
    first, file = picture(), io.BytesIO()
    metadata = first.getexif()
    metadata[0x0110] = f"prompt:{json.dumps(PROMPT)}"
    options = {"comment": json.dumps(WORKFLOW)} if form == "GIF" else {"exif": metadata}
    first.save(file, form, **options)
    assert leaked(file.getvalue())
    transform = Transform(w=40, format=target, strip=False)  # type: ignore[arg-type]
    assert not leaked(render(file.getvalue(), transform, ImagingSettings()).data)


def test_other_metadata_of_those_stays() -> None:
    first, file = picture(), io.BytesIO()
    metadata = first.getexif()
    metadata[0x010F] = "Acme"
    first.save(file, "AVIF", exif=metadata)
    transform = Transform(w=40, format="jpeg", strip=False)
    with Image.open(io.BytesIO(render(file.getvalue(), transform, ImagingSettings()).data)) as image:
        assert image.getexif()[0x010F] == "Acme"


def test_the_rest_of_the_exif_stays() -> None:
    """Orientation above all: without it the picture would lie on its side."""
    data = jpeg_with_comment()
    with Image.open(io.BytesIO(stripped(data))) as image:
        found = image.getexif()
        assert {tag: found[tag] for tag in (0x010F, 0x0112, 0x0131)} == {
            0x010F: "Acme",
            0x0112: 6,
            0x0131: "darkroom 1.0",
        }
        assert dict(found.get_ifd(0x8769)) == {0xA434: "Acme 50 mm"}


def test_a_webp_without_exif_does_not_say_that_it_has_some() -> None:
    _, (header, *parts) = split(stripped(save_animated_webp(3)))
    assert (header.name, header.body[0] & 0x0C) == (b"VP8X", 0)
    assert b"EXIF" not in {part.name for part in parts}


@pytest.mark.parametrize(
    "body",
    [
        chunk(b"tEXt", b"parameters\0" + A1111.encode()),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(json.dumps(WORKFLOW).encode())),
        chunk(b"iTXt", b"Prompt\0\0\0\0\0" + json.dumps(PROMPT).encode()),
        chunk(b"iTXt", b"anything\0\1\0en\0word\0" + zlib.compress(json.dumps(PROMPT).encode())),
        chunk(b"tEXt", b"Comment\0" + json.dumps(WORKFLOW).encode()),
        chunk(b"tEXt", b"Description\0" + A1111.encode()),
        chunk(b"zTXt", b"unreadable\0\0not zlib"),
        chunk(b"comf", b"x\0secret"),
    ],
)
def test_png_chunks_that_go(body: bytes) -> None:
    assert stripped(png_with(body)) == PICTURES["png"][0]


@pytest.mark.parametrize(
    "body",
    [
        chunk(b"tEXt", b"Title\0A fox {in brackets}, a prompt answer"),
        chunk(b"tEXt", b"Software\0Acme: 3.0"),
        chunk(b"iTXt", b"Copyright\0\0\0\0\0\xc2\xa9 Acme [2026]"),
        chunk(b"zTXt", b"Author\0\0" + zlib.compress(b"Acme")),
        chunk(b"tIME", bytes([7, 234, 1, 1, 0, 0, 0])),
    ],
)
def test_png_chunks_that_stay(body: bytes) -> None:
    data = png_with(body)
    assert stripped(data) is data


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_xmp_that_tells_goes_and_other_stays(form: str) -> None:
    plain, telling = packet(TRAINED), packet(TRAINED, prompt="a secret fox")
    assert plain is not None
    assert telling is not None
    harmless = embedded(PICTURES[form][0], plain)
    assert stripped(harmless) is harmless
    found = stripped(embedded(PICTURES[form][0], telling))
    assert b"xmpmeta" not in found
    check_pixels(found, PICTURES[form][0])


def test_xmp_of_a_photo_editor_stays() -> None:
    plain = packet(TRAINED)
    assert plain is not None
    history = b'<rdf:Description xmlns:stEvt="s" stEvt:parameters="saved as image/jpeg"/></rdf:RDF>'
    photo = embedded(PICTURES["jpeg"][0], plain.replace(b"</rdf:RDF>", history))
    assert b"stEvt:parameters" in photo
    assert stripped(photo) is photo


@pytest.mark.parametrize("text", ["&quot;class_type&quot;", "{'workflow': 1}", f"<p>{A1111}</p>"])
def test_xmp_with_a_workflow_under_any_name_goes(text: str) -> None:
    plain = packet(TRAINED)
    assert plain is not None
    telling = plain.replace(b"</rdf:RDF>", f"<x:any>{text}</x:any></rdf:RDF>".encode())
    assert b"x:any" not in stripped(embedded(PICTURES["jpeg"][0], telling))


def test_a_png_s_exif_is_looked_at_too() -> None:
    exif = Image.Exif()
    exif[0x010E] = json.dumps(WORKFLOW)
    file = io.BytesIO()
    picture().save(file, "PNG", exif=exif)
    assert leaked(file.getvalue())
    assert b"eXIf" not in stripped(file.getvalue())


def test_a_manifest_goes_with_what_it_vouched_for_and_else_stays() -> None:
    manifest, text = chunk(b"caBX", b"a manifest"), chunk(b"tEXt", b"prompt\0{}")
    assert stripped(png_with(manifest, text)) == PICTURES["png"][0]
    signed = png_with(manifest)
    assert stripped(signed) is signed


def test_exif_that_cannot_be_read_goes_only_if_it_tells() -> None:
    for body, stays in ((b"II*\0\xff\xff\xff\xff", True), (b"II*\0\xff\xff\xff\xff class_type", False)):
        data = png_with(chunk(b"eXIf", body))
        assert (stripped(data) == data) is stays


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "avif"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_variant_with_all_metadata_has_no_workflow_either(name: str, form: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(WRITERS[name]())
    transform = Transform(w=40, format=form, strip=False)  # type: ignore[arg-type]
    assert not leaked(render(source, transform, ImagingSettings()).data)


def test_text_of_the_owner_s_is_still_there_with_all_metadata() -> None:
    info = PngInfo()
    info.add_text("Title", "Acme fox")
    info.add_text("prompt", json.dumps(PROMPT))
    file = io.BytesIO()
    picture().save(file, "PNG", pnginfo=info)
    found = render(file.getvalue(), Transform(w=40, strip=False), ImagingSettings()).data
    with Image.open(io.BytesIO(found)) as image:
        assert (image.info.get("Title"), image.info.get("prompt")) == ("Acme fox", None)


@given(st.data())
def test_damaged_files_are_refused_or_stripped(data: st.DataObject) -> None:
    whole = WRITERS[data.draw(st.sampled_from(sorted(WRITERS)))]()
    at = data.draw(st.integers(0, min(len(whole), 2000) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 8)) :]
    try:
        stripped(broken)
    except Problem as problem:
        assert isinstance(problem, InvalidField | UnsupportedMedia)  # noqa: PT017


@pytest.mark.parametrize("name", WRITERS)
def test_exiftool_finds_nothing_and_no_fault(name: str, tmp_path: Path) -> None:
    found = told(tmp_path / "file", stripped(WRITERS[name]()))
    assert "secret" not in json.dumps(found)
    # Our JPEG had little to say to begin with.
    assert [each for each in complaints(found) if not each.startswith("Missing required")] == []
