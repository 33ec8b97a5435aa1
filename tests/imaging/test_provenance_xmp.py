"""The source type in every format, read by tools that are not ours, and not a pixel changed for it."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import imaging_pictures
import pytest
from imaging_pictures import animation, chunk, scene
from PIL import Image
from provenance_tools import TRAINED, URI, check_pixels, complaints, save_animated_png, split, told

from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.domain.transform import Transform
from ferrotype.imaging.provenance.containers import Reader, encoded, has_manifest, spans
from ferrotype.imaging.provenance.packet import MAX_PACKET, MAX_PROMPT, merged, packet
from ferrotype.imaging.provenance.splices import growth, spliced
from ferrotype.imaging.provenance.xmp import embedded, splices
from ferrotype.imaging.render import render
from ferrotype.imaging.settings import ImagingSettings

LIMITS = ImagingSettings()
#: With an animated PNG that has its frames.
PICTURES = imaging_pictures.PICTURES | {"apng": (save_animated_png(told=False), "image/png", "png")}
SAID = packet(TRAINED)
assert SAID is not None
WITH_XMP = ("jpeg", "png", "webp", "avif")
EMBEDDED = [name for name in PICTURES if not name.startswith(("gif", "avif", "tiff"))]
PROPERTY = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
OTHERS = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" photoshop:Credit="Made by Acme"%s'
    b"</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
)
CAPTURE = b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def properties(xmp: bytes) -> dict[str, str | None]:
    """All that is said of the picture, by full name."""
    root = ElementTree.fromstring(xmp)
    found: dict[str, str | None] = {}
    for each in root.iter(f"{RDF}Description"):
        said = [*each.attrib.items(), *((child.tag, child.text) for child in each)]
        for name, value in said:
            assert name == f"{RDF}about" or name not in found, name
            found[name] = value
    return found


def xmp_of(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        found = image.info["xmp"]
        return found if isinstance(found, bytes) else found.encode()


def test_nothing_is_said_of_an_upload() -> None:
    assert packet(None) is None
    assert packet(None, prompt="a fox") is None
    assert embedded(PICTURES["png"][0], None) is PICTURES["png"][0]


@pytest.mark.parametrize("term", [TRAINED, "algorithmicMedia", "compositeWithTrainedAlgorithmicMedia"])
def test_a_packet_names_the_term_by_its_address(term: str) -> None:
    for spelling in (term, URI + term):
        said = packet(spelling)
        assert said is not None
        assert properties(said) == {f"{RDF}about": "", f"{PROPERTY}DigitalSourceType": URI + term}
    assert packet(term) == packet(term)  # no date, no identifier


def test_a_prompt_comes_back_as_it_was() -> None:
    prompt = "a \"fox\" <under> 'the' & moon\nsecond\tline 🦊 \x00\x1b\ud800end"
    said = packet(TRAINED, prompt=prompt, system="acme/fox-1")
    assert said is not None
    found = properties(said)
    assert found[f"{PROPERTY}AIPromptInformation"] == "a \"fox\" <under> 'the' & moon\nsecond\tline 🦊 ?end"
    assert found[f"{PROPERTY}AISystemUsed"] == "acme/fox-1"
    long = packet(TRAINED, prompt="🦊" * MAX_PROMPT)
    assert long is not None
    assert properties(long)[f"{PROPERTY}AIPromptInformation"] == "🦊" * (MAX_PROMPT // 4)


@pytest.mark.parametrize(
    "there",
    [
        b' Iptc4xmpExt:DigitalSourceType="%s">' % CAPTURE,
        b" Iptc4xmpExt:DigitalSourceType = '%s'>" % CAPTURE,
        b"><Iptc4xmpExt:DigitalSourceType>%s</Iptc4xmpExt:DigitalSourceType>" % CAPTURE,
        b'><Iptc4xmpExt:DigitalSourceType rdf:resource="%s"/>' % CAPTURE,
        b">",
    ],
)
def test_what_others_said_stays_and_the_source_type_is_ours(there: bytes) -> None:
    before = OTHERS % there
    ElementTree.fromstring(before)
    found = properties(merged(before, SAID))
    assert found[f"{PROPERTY}DigitalSourceType"] == URI + TRAINED
    assert found["{http://ns.adobe.com/photoshop/1.0/}Credit"] == "Made by Acme"
    assert properties(merged(merged(before, SAID), SAID)) == found


@pytest.mark.parametrize(
    "there", [None, b"", b"no xml", b"<x:xmpmeta>", (OTHERS % b">").decode().encode("utf-16")]
)
def test_what_cannot_be_read_gives_way(there: bytes | None) -> None:
    assert merged(there, SAID) == SAID


@pytest.mark.parametrize("form", WITH_XMP)
@pytest.mark.parametrize("source", ["png", "jpeg", "webp-alpha", "avif"])
def test_a_variant_has_it_and_looks_the_same(form: str, source: str) -> None:
    transform = Transform(w=40, format=form)  # type: ignore[arg-type]
    without = render(PICTURES[source][0], transform, LIMITS)
    told_of, again = (render(PICTURES[source][0], transform, LIMITS, xmp=SAID) for _ in range(2))
    assert told_of == again
    check_pixels(told_of.data, without.data)
    assert 390 < len(told_of.data) - len(without.data) < 500
    assert (told_of.data.count(SAID), without.data.count(b"DigitalSourceType")) == (1, 0)


def test_a_gif_goes_without_and_an_animated_webp_with_it() -> None:
    source = PICTURES["gif-animated"][0]
    gif = Transform(w=40, format="gif")
    assert render(source, gif, LIMITS, xmp=SAID) == render(source, gif, LIMITS)
    webp = Transform(w=40, format="webp")
    moving = render(source, webp, LIMITS, xmp=SAID)
    check_pixels(moving.data, render(source, webp, LIMITS).data)
    assert properties(xmp_of(moving.data))[f"{PROPERTY}DigitalSourceType"] == URI + TRAINED


def test_an_original_stays_untouched() -> None:
    assert render(PICTURES["png"][0], Transform(), LIMITS, xmp=SAID).data == PICTURES["png"][0]


def test_frames_that_stay_as_they_are_lose_their_workflow_and_get_a_packet() -> None:
    source = save_animated_png()
    found = render(source, Transform(format="png"), LIMITS, xmp=SAID).data
    assert (b"secret" in source, b"secret" in found) == (True, False)
    assert xmp_of(found) == SAID
    check_pixels(found, source)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("source", ["jpeg", "png", "webp"])
def test_with_all_metadata_it_joins_the_picture_s_own(source: str, form: str) -> None:
    mine = embedded(PICTURES[source][0], OTHERS % (b' Iptc4xmpExt:DigitalSourceType="%s">' % CAPTURE))
    transform = Transform(w=40, format=form, strip=False)  # type: ignore[arg-type]
    found = properties(xmp_of(render(mine, transform, LIMITS, xmp=SAID).data))
    assert found["{http://ns.adobe.com/photoshop/1.0/}Credit"] == "Made by Acme"
    assert found[f"{PROPERTY}DigitalSourceType"] == URI + TRAINED
    own = properties(xmp_of(render(mine, transform, LIMITS).data))
    assert own[f"{PROPERTY}DigitalSourceType"] == CAPTURE.decode()
    plain = Transform(w=40, format=form)  # type: ignore[arg-type]
    assert b"Acme" not in render(mine, plain, LIMITS, xmp=SAID).data


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_finished_file_gets_it_without_a_pixel_changed(name: str) -> None:
    data = PICTURES[name][0]
    found = embedded(data, SAID)
    check_pixels(found, data)
    assert xmp_of(found) == SAID
    assert embedded(found, SAID).count(URI.encode()) == 1


@pytest.mark.parametrize("name", EMBEDDED)
def test_what_will_change_of_a_file_is_known_before(name: str, tmp_path: Path) -> None:
    data, file = PICTURES[name][0], tmp_path / "file"
    for before in (data, embedded(data, OTHERS % b">"), data + b"appended"):
        file.write_bytes(before)
        found = splices(file, SAID)
        after = spliced(before, found)
        assert after == embedded(before, SAID)
        assert len(after) - len(before) == growth(found)
        assert after.endswith(before[-8:]) or name.startswith("webp")
        check_pixels(after, data)


def test_a_webp_whose_last_byte_of_padding_is_missing() -> None:
    whole = scene(40, 30).webpsave_buffer(keep="none")
    data = whole + b"note" + (3).to_bytes(4, "little") + b"odd"
    data = b"RIFF" + (len(data) - 8).to_bytes(4, "little") + data[8:]
    found = embedded(data, SAID)
    assert int.from_bytes(found[4:8], "little") == len(found) - 8
    names = [part.name for part in split(found)[1]]
    assert names == [b"VP8X", b"VP8 ", b"note", b"XMP ", b""]
    assert xmp_of(found) == SAID
    check_pixels(found, whole)


@pytest.mark.parametrize("name", sorted(set(PICTURES) - set(EMBEDDED)))
def test_other_formats_come_back_as_they_are(name: str) -> None:
    assert embedded(PICTURES[name][0], SAID) is PICTURES[name][0]


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_parts_are_all_of_the_file(name: str) -> None:
    reader = Reader(PICTURES[name][0] + b"appended")
    kind, found = spans(reader)
    assert [span.stop for span in found[:-1]] == [span.start for span in found[1:]]
    assert found[0].start <= 12
    assert found[-1].stop == reader.size
    for span in found:
        assert encoded(kind, reader.body(span)) == reader.read(span.start, span.stop - span.start)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_packet_that_is_there_is_joined(name: str) -> None:
    mine = embedded(PICTURES[name][0], OTHERS % b">")
    found = embedded(mine, SAID)
    check_pixels(found, mine)
    said = properties(xmp_of(found))
    assert said["{http://ns.adobe.com/photoshop/1.0/}Credit"] == "Made by Acme"
    assert said[f"{PROPERTY}DigitalSourceType"] == URI + TRAINED


def test_a_jpeg_that_is_full_has_ours_alone() -> None:
    full = (OTHERS % b">").replace(b"Made by Acme", b"A" * 65_000)
    mine = embedded(PICTURES["jpeg"][0], full)
    assert len(xmp_of(mine)) == len(full)
    assert xmp_of(embedded(mine, SAID)) == SAID
    transform = Transform(w=40, strip=False)
    assert xmp_of(render(mine, transform, LIMITS, xmp=SAID).data) == SAID


def test_the_longest_packet_fits_into_a_jpeg() -> None:
    worst = packet(TRAINED, prompt="&\"'\n" * MAX_PROMPT, system="&" * 9999)
    assert worst is not None
    assert xmp_of(embedded(PICTURES["jpeg"][0], worst)) == worst
    assert xmp_of(render(PICTURES["png"][0], Transform(format="jpeg"), LIMITS, xmp=worst).data) == worst
    all_double = packet(TRAINED, prompt="'" + '"' * MAX_PROMPT)
    assert all_double is not None
    assert len(all_double) <= MAX_PACKET


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (64, 48), (301, 7)])
def test_a_simple_webp_becomes_an_extended_one(size: tuple[int, int], lossless: bool, alpha: bool) -> None:
    data = scene(*size, alpha=alpha).webpsave_buffer(lossless=lossless, keep="none")
    found = embedded(data, SAID)
    check_pixels(found, data)
    kind, (header, *_) = split(found)
    assert (kind.name, header.name, header.body[1:4]) == ("webp", b"VP8X", bytes(3))
    assert header.body[0] == 0x04 | (0x10 if alpha else 0)
    width, height = (int.from_bytes(header.body[at : at + 3], "little") + 1 for at in (4, 7))
    assert (width, height) == size


def test_an_animation_stays_one() -> None:
    data = animation().webpsave_buffer()
    _, (header, *_) = split(embedded(data, SAID))
    assert header.body[0] & 0x06 == 0x06  # moves, has XMP
    check_pixels(embedded(data, SAID), data)


@pytest.mark.parametrize("name", [name for name in EMBEDDED if not name.startswith("jpeg")])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_what_is_cut_short_is_refused(name: str, part: float) -> None:
    data = PICTURES[name][0]
    with pytest.raises(InvalidField) as caught:
        embedded(data[: max(30, int(len(data) * part))], SAID)
    assert caught.value.field == "image"


def test_what_has_no_scan_is_refused() -> None:
    jpeg = PICTURES["jpeg"][0]
    for end in (2, 10, 300, jpeg.index(b"\xff\xda")):
        with pytest.raises((InvalidField, UnsupportedMedia)):
            embedded(jpeg[:end], SAID)
    with pytest.raises(UnsupportedMedia):
        embedded(b"no picture at all", SAID)


def test_a_file_with_a_manifest_is_left_alone() -> None:
    png = PICTURES["png"][0]
    signed = png[:33] + chunk(b"caBX", b"a manifest") + png[33:]
    assert (has_manifest(png), has_manifest(signed)) == (False, True)
    assert embedded(signed, SAID) is signed


@pytest.mark.parametrize("form", WITH_XMP)
def test_exiftool_reads_it_in_variants(tmp_path: Path, form: str) -> None:
    said = packet(TRAINED, prompt='a "fox" & moon', system="acme/fox-1")
    transform = Transform(w=40, format=form)  # type: ignore[arg-type]
    found = told(tmp_path / "file", render(PICTURES["png"][0], transform, LIMITS, xmp=said).data)
    assert found["XMP-iptcExt:DigitalSourceType"] == URI + TRAINED
    assert found["XMP-iptcExt:AIPromptInformation"] == 'a "fox" & moon'
    assert found["XMP-iptcExt:AISystemUsed"] == "acme/fox-1"
    assert complaints(found) == []


@pytest.mark.parametrize("name", EMBEDDED)
def test_exiftool_reads_it_in_finished_files(tmp_path: Path, name: str) -> None:
    before = complaints(told(tmp_path / "before", PICTURES[name][0]))
    for index, data in enumerate((PICTURES[name][0], embedded(PICTURES[name][0], OTHERS % b">"))):
        found = told(tmp_path / "file", embedded(data, SAID))
        assert found["XMP-iptcExt:DigitalSourceType"] == URI + TRAINED
        assert found.get("XMP-photoshop:Credit") == ("Made by Acme" if index else None)
        assert complaints(found) == before
