"""What a model is sent of a picture, pixel by pixel; what to expect is worked out by Pillow."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import icc
import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from imaging_pictures import OTHERS, PICTURES, REFUSED, scene
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from ferrotype.domain.model import InputLimits
from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.imaging.prescale import Plan, fit, plan, prescale

Pixels = NDArray[np.float64]


def within(**limits: Any) -> InputLimits:
    """At the best quality, so that what differs is not the encoder's doing."""
    return InputLimits(**{"quality": 100} | limits)


FREE = within()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
ADOBE_RGB = icc.rgb(icc.ADOBE_RGB, icc.gamma(2.2))
DISPLAY_P3 = icc.rgb(icc.DISPLAY_P3, icc.SRGB_FORMULA)
ORIENTATION, GPS = 0x0112, 0x8825


def photo(width: int = 240, height: int = 160, *, mode: str = "RGB") -> Image.Image:
    """Smooth, and different under every turn, mirror and exchange of channels. The alpha is a slope."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = 40 * np.sin(x * 9 + y * 4) + 12 * np.sin(x * 40 - y * 25)
    bands = [40 + 150 * x + waves, 30 + 160 * y + waves, 200 - 120 * x * y + waves, 255 * x]
    image = Image.fromarray(np.stack(bands, axis=2).clip(0, 255).astype(np.uint8), "RGBA")
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    if form in ("JPEG", "WEBP") and "lossless" not in options:
        options = {"quality": 97, **({"subsampling": 0} if form == "JPEG" else {})} | options
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned(image: Image.Image, orientation: int, form: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, form, exif=exif)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def sent(data: bytes, limits: InputLimits = FREE, **options: Any) -> Image.Image:
    """The picture as it is sent, which is as it was said to be."""
    how = plan(data, limits, **options)
    assert how.rewritten
    image = opened(prescale(data, how))
    assert (image.size, image.get_format_mimetype()) == ((how.sent_width, how.sent_height), how.content_type)
    return image


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float64)


def off(image: Image.Image, expected: Image.Image) -> tuple[float, float]:
    """Mean and greatest difference, of 255."""
    assert (image.mode, image.size) == (expected.mode, expected.size)
    difference = np.abs(pixels(image) - pixels(expected))
    return float(difference.mean()), float(difference.max())


def check_near(image: Image.Image, expected: Image.Image, *, mean: float = 1.5, greatest: float = 16) -> None:
    """Lossy WebP halves the colours' resolution and narrows their range; it may be twice as far off."""
    found = off(image, expected)
    factor = 2 if image.get_format_mimetype() == "image/webp" else 1
    assert (found[0] < mean * factor, found[1] < greatest * factor) == (True, True), found


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.LANCZOS)


def converted(image: Image.Image, profile: bytes) -> Image.Image:
    """To sRGB, by Pillow's littleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    found = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    assert found is not None
    return found


# What goes as it is

UNTOUCHED = {
    "jpeg": encoded(photo(), "JPEG"),
    "jpeg, progressive": encoded(photo(), "JPEG", progressive=True),
    "jpeg, grey": encoded(photo(mode="L"), "JPEG"),
    "jpeg, said to be upright": turned(photo(), 1),
    "jpeg, orientation out of range": turned(photo(), 9),
    "jpeg, sRGB": encoded(photo(), "JPEG", icc_profile=SRGB.tobytes()),
    "png": encoded(photo()),
    "png, sRGB by another hand": encoded(photo(), icc_profile=icc.rgb(icc.SRGB, icc.SRGB_FORMULA)),
    "png, alpha": encoded(photo(mode="RGBA")),
    "png, grey": encoded(photo(mode="L")),
    "png, two levels": encoded(photo(mode="1")),
    "png, palette": encoded(photo(mode="P")),
    "webp": encoded(photo(), "WEBP"),
    "webp, alpha": encoded(photo(mode="RGBA"), "WEBP"),
    "webp, lossless": encoded(photo(mode="RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_a_picture_that_needs_nothing_is_left_alone(name: str, tmp_path: Path) -> None:
    data = UNTOUCHED[name]
    content_type = f"image/{name.split(',')[0]}"
    expected = Plan(240, 160, 240, 160, content_type, False, quality=100, alpha=True, mask=False)
    assert plan(data, FREE) == expected
    assert plan(data, within(max_pixels=240 * 160, max_side=240)) == expected
    (tmp_path / "x").write_bytes(data)
    assert plan(tmp_path / "x", FREE) == expected


def frames(form: str) -> bytes:
    first, second = photo(), ImageOps.invert(photo())
    return encoded(first, form, save_all=True, append_images=[second], duration=100, lossless=True)


def sixteen(bands: int) -> bytes:
    """16 bits a channel, of which the lower eight are those that an 8-bit reader must drop."""
    values = pixels(photo()).astype(np.uint16)[..., :bands] * 257
    kind = "rgb16" if bands == 3 else "grey16"
    data: bytes = pyvips.Image.new_from_array(values, interpretation=kind).pngsave_buffer(bitdepth=16)
    return data


REWRITTEN = {
    "png, animated": (frames("PNG"), "image/png"),
    "webp, animated": (frames("WEBP"), "image/webp"),
    "png, 16 bits": (sixteen(3), "image/png"),
    "png, 16 bits, grey": (sixteen(1), "image/png"),
    "gif": (encoded(photo(mode="P"), "GIF"), "image/png"),
    "gif, animated": (frames("GIF"), "image/png"),
    "tiff": (encoded(photo(), "TIFF"), "image/png"),
    "tiff, CMYK": (encoded(photo(mode="CMYK"), "TIFF"), "image/png"),
    "avif": (encoded(photo(), "AVIF", quality=90), "image/jpeg"),
    "avif, alpha": (encoded(photo(mode="RGBA"), "AVIF", quality=90), "image/png"),
    "jpeg, CMYK": (encoded(photo(mode="CMYK"), "JPEG"), "image/jpeg"),
    "jpeg, turned": (turned(photo(160, 240), 6), "image/jpeg"),
    "jpeg, Display P3": (encoded(photo(), "JPEG", icc_profile=DISPLAY_P3), "image/jpeg"),
    "jpeg, grey with gamma 1.8": (
        encoded(photo(mode="L"), "JPEG", icc_profile=icc.grey(icc.gamma(1.8))),
        "image/jpeg",
    ),
    "jpeg, broken profile": (encoded(photo(), "JPEG", icc_profile=b"garbage" * 40), "image/jpeg"),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_picture_that_models_misread_is_written_anew(name: str) -> None:
    data, content_type = REWRITTEN[name]
    how = plan(data, FREE)
    assert (how.rewritten, how.content_type) == (True, content_type)
    image = sent(data)
    assert image.size == (240, 160)
    assert image.mode == ("RGBA" if name in ("gif, animated", "avif, alpha") else "RGB")
    assert getattr(image, "n_frames", 1) == 1
    again = prescale(data, how)
    assert prescale(data, how) == again, "the same every time"
    assert not plan(again, FREE).rewritten, "and as it should be"


# Sizes

sides = st.integers(1, 20_000)


@given(sides, sides, st.none() | st.integers(1, 10**8), st.none() | sides)
def test_a_fit_keeps_the_bounds_and_the_proportions(
    width: int, height: int, max_pixels: int | None, max_side: int | None
) -> None:
    w, h = fit(width, height, max_pixels, max_side)
    assert 1 <= w <= width
    assert 1 <= h <= height
    most = math.inf if max_pixels is None else max_pixels
    longest = math.inf if max_side is None else max_side
    assert w * h <= most
    assert max(w, h) <= longest
    if width * height <= most and max(width, height) <= longest:
        assert (w, h) == (width, height)
    elif min(w, h) > 1:
        assert abs(w / width - h / height) <= 1 / min(width, height) + 1e-9
        grown = ((w + 1) / width, (h + 1) / height)
        larger = (width * max(grown), height * max(grown))
        assert larger[0] * larger[1] > most or max(larger) > longest, "no larger one fits"


def test_the_exact_half_is_not_rounded_away() -> None:
    assert fit(1024, 1024, 512 * 512, 4096) == (512, 512)
    assert fit(6000, 4000, 10**8, 1500) == (1500, 1000)
    assert fit(3000, 3000, 10**8, 1000) == (1000, 1000)
    assert fit(6000, 4000, 2_000_000, None) == (1732, 1154)
    assert fit(107, 50, None, 63) == (63, 29)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 8),
    st.none() | st.integers(1, 40_000),
    st.none() | st.integers(16, 300),
    st.sampled_from(["JPEG", "PNG", "WEBP"]),
)
def test_what_is_sent_keeps_the_limits(
    width: int, height: int, orientation: int, max_pixels: int | None, max_side: int | None, form: str
) -> None:
    data = turned(photo(width, height), orientation, form)
    limits = within(max_pixels=max_pixels, max_side=max_side)
    shown = (width, height) if orientation < 5 else (height, width)
    how = plan(data, limits)
    assert (how.width, how.height) == shown
    assert (how.sent_width, how.sent_height) == fit(*shown, max_pixels, max_side)
    assert how.rewritten is (orientation > 1 or (how.sent_width, how.sent_height) != shown)
    if how.rewritten:
        sent(data, limits)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(480, 320), (239, 151), (60, 40), (31, 20)])
def test_a_smaller_picture_is_where_the_large_one_was(form: str, size: tuple[int, int]) -> None:
    """Also where the decoder shrinks by itself: half a pixel of shift would show."""
    data = encoded(photo(963, 641), form)
    image = sent(data, within(max_pixels=size[0] * size[1] + 40))
    expected = resized(opened(data).convert("RGB"), image.size)
    check_near(image, expected)
    seen, wanted = pixels(image)[2:-2, 2:-2], pixels(expected)
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        shifted = (wanted + np.roll(wanted, (dy, dx), (0, 1)))[2:-2, 2:-2] / 2
        assert ((seen - wanted[2:-2, 2:-2]) ** 2).mean() < ((seen - shifted) ** 2).mean()


def test_what_is_not_resized_is_not_resampled() -> None:
    data = frames("PNG")
    assert off(sent(data), photo())[1] == 0
    alpha = photo(mode="RGBA")
    data = encoded(alpha, save_all=True, append_images=[alpha.rotate(180)])
    assert off(sent(data), alpha)[1] == 0


# Turns and mirrors


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("limits", [FREE, within(max_side=90), within(max_side=16)])
def test_every_orientation_is_applied(orientation: int, form: str, limits: InputLimits) -> None:
    if orientation == 1 and limits is FREE and form != "TIFF":
        return
    data = turned(photo(), orientation, form)
    expected = ImageOps.exif_transpose(opened(data)).convert("RGB")
    image = sent(data, limits)
    assert (image.width > image.height) is (orientation < 5)
    assert ORIENTATION not in image.getexif()
    check_near(image, resized(expected, image.size))


# Colours


@pytest.mark.parametrize("limits", [FREE, within(max_side=90)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("profile", [ADOBE_RGB, DISPLAY_P3], ids=["Adobe RGB", "Display P3"])
def test_colours_become_srgb(profile: bytes, form: str, limits: InputLimits) -> None:
    data = encoded(photo(), form, icc_profile=profile)
    image = sent(data, limits)
    assert "icc_profile" not in image.info
    check_near(image, resized(converted(opened(data).convert("RGB"), profile), image.size))
    assert off(image, resized(photo(), image.size))[0] > 4, "it was another picture without the profile"


def test_a_profile_counts_with_alpha_and_with_16_bits() -> None:
    alpha = photo(mode="RGBA")
    image = sent(encoded(alpha, icc_profile=DISPLAY_P3))
    expected = converted(alpha.convert("RGB"), DISPLAY_P3)
    assert off(image.convert("RGB"), expected)[1] <= 2
    assert off(image.getchannel("A"), alpha.getchannel("A"))[1] == 0
    wide = pyvips.Image.pngload_buffer(sixteen(3)).copy()
    wide.set_type(pyvips.GValue.blob_type, "icc-profile-data", DISPLAY_P3)
    check_near(sent(wide.pngsave_buffer(bitdepth=16)), expected, mean=0.5)


def test_a_grey_profile() -> None:
    profile = icc.grey(icc.gamma(1.8))
    image = sent(encoded(photo(mode="L"), icc_profile=profile))
    assert off(image, converted(photo(mode="L"), profile))[1] <= 2


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("profile", [DISPLAY_P3, icc.grey(icc.gamma(1.0)), b"garbage" * 40])
def test_a_profile_that_does_not_fit_its_picture_changes_nothing(mode: str, profile: bytes) -> None:
    if (mode, profile[16:20]) in (("RGB", b"RGB "), ("L", b"GRAY")):
        return
    for limits in (FREE, within(max_side=90)):
        image = sent(encoded(photo(mode=mode), "JPEG", icc_profile=profile), limits)
        assert off(image, resized(photo(mode=mode).convert("RGB"), image.size))[0] < 1.5


@pytest.mark.parametrize("limits", [FREE, within(max_side=90)])
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form: str, limits: InputLimits) -> None:
    flat = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb")
    profile: bytes = flat.icc_transform("cmyk", input_profile="srgb", depth=8).get("icc-profile-data")
    inks = photo(mode="CMYK")
    image = sent(encoded(inks, form, icc_profile=profile), limits)
    mean, _ = off(image, resized(converted(inks, profile), image.size))
    assert mean < 12, "another rendering intent, the same colours"
    for more in ({}, {"icc_profile": b"garbage" * 40}, {"icc_profile": SRGB.tobytes()}):
        without = sent(encoded(inks, form, **more), limits)
        assert off(without, image)[0] < 12, "press inks where no profile says otherwise"


def test_16_bits_and_grey_are_the_same_picture() -> None:
    assert off(sent(sixteen(3)), photo())[1] == 0
    assert off(sent(sixteen(1)), photo().getchannel("R").convert("RGB"))[1] == 0
    limits = within(max_side=90)
    for data in (sixteen(1), encoded(photo().getchannel("R")), encoded(photo().getchannel("R"), "JPEG")):
        image = sent(data, limits)
        assert off(image, resized(photo().getchannel("R"), image.size).convert("RGB"))[0] < 1


# Alpha


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(240, 160), (90, 60)])
def test_without_alpha_it_lies_on_white(form: str, size: tuple[int, int]) -> None:
    alpha = photo(mode="RGBA")
    data = encoded(alpha, form)
    image = sent(data, within(alpha=False, max_side=size[0]))
    assert image.mode == "RGB"
    assert image.get_format_mimetype() == {"WEBP": "image/webp", "AVIF": "image/jpeg"}.get(form, "image/png")
    white = Image.new("RGBA", alpha.size, "white")
    expected = resized(Image.alpha_composite(white, opened(data).convert("RGBA")).convert("RGB"), size)
    check_near(image, expected)
    assert min(image.getpixel((0, size[1] // 2))) >= 250


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_kept_where_the_model_takes_it(form: str) -> None:
    alpha = photo(mode="RGBA")
    image = sent(encoded(alpha, form), within(max_side=90))
    assert off(image.getchannel("A"), resized(alpha.getchannel("A"), image.size))[0] < 1
    seen = pixels(image.getchannel("A")) > 100
    difference = np.abs(pixels(image) - pixels(resized(alpha, image.size)))[seen]
    assert difference.mean() < 2


def test_colours_under_transparency_do_not_bleed() -> None:
    """A red disc on transparent green: no edge of the smaller one is greenish."""
    x, y = np.meshgrid(np.arange(200), np.arange(200))
    inside = (x - 100) ** 2 + (y - 100) ** 2 < 80**2
    bands = [inside * 255, ~inside * 255, np.zeros((200, 200)), inside * 255]
    data = encoded(Image.fromarray(np.stack(bands, axis=2).astype(np.uint8), "RGBA"))
    kept = pixels(sent(data, within(max_side=50)))
    assert kept[..., 1][kept[..., 3] > 32].max() <= 16
    flat = pixels(sent(data, within(max_side=50, alpha=False)))
    assert (np.abs(flat[..., 1] - flat[..., 2]) <= 4).all(), "between red and white there is no green"


# Formats

JPEG, PNG, WEBP = ("image/jpeg", "image/png", "image/webp")


@pytest.mark.parametrize(
    ("name", "formats", "expected"),
    [
        ("jpeg", ["png", "jpeg"], JPEG),  # its own, whatever stands first
        ("jpeg", ["png"], PNG),
        ("jpeg", ["webp", "png"], WEBP),
        ("png", ["jpeg", "webp"], JPEG),
        ("png", ["webp", "jpeg"], WEBP),
        ("png, alpha", ["jpeg", "webp"], WEBP),  # the first that can hold it
        ("png, alpha", ["jpeg"], JPEG),
        ("webp", ["png"], PNG),
        ("webp", ["jpeg", "png"], JPEG),
        ("webp, alpha", ["jpeg", "png"], PNG),
        ("gif", ["jpeg", "webp", "png"], PNG),  # nothing is lost
        ("gif", ["jpeg", "webp"], JPEG),
        ("tiff", ["webp"], WEBP),
        ("avif", ["png", "jpeg"], PNG),
        ("avif, alpha", ["jpeg", "webp"], WEBP),
    ],
)
def test_formats(name: str, formats: Any, expected: str) -> None:
    data = UNTOUCHED[name] if name in UNTOUCHED else REWRITTEN[name][0]
    for max_side in (None, 90):
        limits = within(formats=formats, max_side=max_side)
        how = plan(data, limits)
        assert how.content_type == expected
        if how.rewritten:
            assert (sent(data, limits).mode == "RGBA") is ("alpha" in name and expected != JPEG)


@pytest.mark.parametrize("name", ["png, alpha", "webp, alpha", "avif, alpha"])
def test_a_picture_that_lost_its_alpha_needs_no_format_for_it(name: str) -> None:
    data = UNTOUCHED[name] if name in UNTOUCHED else REWRITTEN[name][0]
    assert plan(data, within(formats=["jpeg"], alpha=False)).content_type == JPEG
    own = {"png": PNG, "webp": WEBP}.get(name.split(",")[0], JPEG)
    assert sent(data, within(alpha=False)).get_format_mimetype() == own


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_quality(form: str) -> None:
    data = encoded(photo(400, 300), form)

    def length(quality: int) -> int:
        limits = within(max_side=300, quality=quality)
        return len(prescale(data, plan(data, limits)))

    assert length(20) < length(60) < length(95)


def test_a_side_that_webp_cannot_hold() -> None:
    long = pyvips.Image.black(17_000, 2).pngsave_buffer()
    how = plan(long, within(formats=["webp"]))
    assert (how.sent_width, how.content_type) == (16_383, WEBP)
    sent(long, within(formats=["webp"]))
    assert plan(long, within(formats=["webp", "jpeg"])).content_type == JPEG


# Metadata


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_nothing_tells_where_and_by_whom_it_was_taken(form: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET camera"
    exif[ORIENTATION] = 3
    exif.get_ifd(GPS)[1] = "SECRET north"
    options: dict[str, Any] = {"exif": exif}
    if form in ("JPEG", "WEBP"):
        options["xmp"] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET</x:xmpmeta>"
    if form == "JPEG":
        options["comment"] = "SECRET"
    if form == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("prompt", "SECRET", zip=False)
    data = encoded(photo(), form, **options)
    assert b"SECRET" in data
    for limits in (FREE, within(max_side=90)):
        image = sent(data, limits)
        assert b"SECRET" not in prescale(data, plan(data, limits))
        assert not dict(image.getexif())
        assert not {"xmp", "comment", "prompt", "icc_profile", "exif"} & set(image.info)


# Masks


def shapes(width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """A photograph in which a bright ellipse lies, and the mask of that ellipse."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    inside = ((x - 0.6) / 0.3) ** 2 + ((y - 0.35) / 0.25) ** 2 < 1
    grey = np.where(inside, 230, 30).astype(np.uint8)
    return Image.fromarray(np.stack([grey] * 3, axis=2)), Image.fromarray((inside * 255).astype(np.uint8))


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("side", [500, 250, 61])
def test_a_mask_lies_on_its_picture(orientation: int, form: str, side: int) -> None:
    """Both show the same ellipse, so that the smaller ones differ along its edge at most."""
    picture, mask = shapes(1003, 777)
    limits = within(max_side=side)
    small = sent(turned(picture, orientation, form), limits)
    upright = ImageOps.exif_transpose(opened(turned(mask, orientation, "PNG")))
    for data in (encoded(upright), turned(mask, orientation, "PNG")):
        over = sent(data, limits, mask=True, size=small.size)
        assert (over.mode, over.size) == ("L", small.size)
        apart = (pixels(small.convert("L")) > 130) != (pixels(over) > 127)
        edge = math.pi * (small.width * 0.6 + small.height * 0.5)
        assert apart.sum() <= edge * 0.2


def test_a_mask_has_no_rings_and_keeps_its_levels() -> None:
    _, mask = shapes(1003, 777)
    over = pixels(sent(encoded(mask), FREE, mask=True, size=(251, 194)))
    _, small = shapes(251, 194)
    flat = np.zeros(over.shape, bool)
    value = pixels(small)
    flat[2:-2, 2:-2] = np.all(
        [np.roll(value, (dy, dx), (0, 1)) == value for dy in range(-2, 3) for dx in range(-2, 3)], axis=0
    )[2:-2, 2:-2]
    assert flat.sum() > 40_000
    assert (over[flat] == value[flat]).all()
    half = Image.new("L", (400, 300), 128)
    assert off(sent(encoded(half), FREE, mask=True, size=(100, 75)), Image.new("L", (100, 75), 128))[1] <= 1


def test_a_mask_of_another_size_is_made_as_large_as_its_picture() -> None:
    _, mask = shapes(100, 80)
    how = plan(encoded(mask), within(max_side=50), mask=True, size=(301, 240))
    assert (how.width, how.height, how.sent_width, how.sent_height) == (100, 80, 301, 240)
    _, expected = shapes(301, 240)
    over = sent(encoded(mask), within(max_side=50), mask=True, size=(301, 240))
    assert (np.abs(pixels(over) - pixels(expected)) > 128).mean() < 0.02


@pytest.mark.parametrize("name", ["png", "png, grey", "png, two levels", "jpeg", "webp"])
def test_a_mask_that_needs_nothing_is_left_alone(name: str) -> None:
    assert not plan(UNTOUCHED[name], FREE, mask=True, size=(240, 160)).rewritten
    assert not plan(UNTOUCHED[name], FREE, mask=True).rewritten
    assert plan(UNTOUCHED[name], FREE, mask=True, size=(239, 160)).rewritten


def test_the_values_of_a_mask_are_no_colours() -> None:
    half = encoded(Image.new("L", (40, 30), 128), icc_profile=icc.grey(icc.gamma(1.0)))
    assert not plan(half, FREE, mask=True).rewritten
    over = sent(half, FREE, mask=True, size=(20, 15))
    assert over.getpixel((9, 9)) == 128


@pytest.mark.parametrize(
    ("formats", "expected"), [(["jpeg", "webp", "png"], PNG), (["jpeg", "webp"], WEBP), (["jpeg"], JPEG)]
)
def test_a_mask_is_written_without_loss_where_that_can_be(formats: Any, expected: str) -> None:
    _, mask = shapes(400, 300)
    data = encoded(mask, "JPEG", quality=100)
    limits = within(formats=formats, max_side=100)
    how = plan(data, limits, mask=True, size=(100, 75))
    assert how.content_type == expected
    over = opened(prescale(data, how)).convert("L")
    lossless = opened(prescale(data, plan(data, within(), mask=True, size=(100, 75))))
    assert off(over, lossless)[1] <= (8 if expected == JPEG else 0)


def test_nothing_is_changed_where_a_mask_is_transparent() -> None:
    white = Image.new("RGBA", (40, 30), (255, 255, 255, 0))
    white.paste((255, 255, 255, 255), (0, 0, 20, 30))
    over = sent(encoded(white), FREE, mask=True)
    assert (over.getpixel((5, 5)), over.getpixel((35, 5))) == (255, 0)


# What cannot be read


@pytest.mark.parametrize("data", [*REFUSED.values(), *OTHERS.values(), b""])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        plan(data, FREE, field="images.1")
    assert caught.value.field == "images.1"


@pytest.mark.parametrize("name", ["png", "webp", "avif"])
def test_a_damaged_picture_is_named(name: str) -> None:
    data = PICTURES[name][0]
    with pytest.raises(InvalidField) as caught:
        plan(data[:40], FREE, field="mask")
    assert caught.value.field == "mask"
    with pytest.raises(InvalidField) as caught:
        prescale(data[:40], plan(data, within(max_side=16)), field="mask")
    assert caught.value.field == "mask"


# Names


def test_a_recipe_names_what_it_makes() -> None:
    data = scene(64, 48, alpha=True).pngsave_buffer()
    plans = [
        plan(data, within(**limits), mask=mask)
        for limits in ({}, {"max_side": 32}, {"quality": 80}, {"alpha": False}, {"formats": ["webp"]})
        for mask in (False, True)
    ]
    assert len({how.recipe for how in plans}) == len(plans)
    assert plan(data, FREE).recipe == plan(encoded(photo(64, 48)), FREE).recipe
