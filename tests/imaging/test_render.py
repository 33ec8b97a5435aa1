"""What becomes of a picture; what to expect is worked out by Pillow or by hand."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import icc
import numpy as np
import pytest
import pyvips
from golden.sources import (
    ADOBE,
    BLUE,
    CORNER,
    GREEN,
    HEIGHT,
    P3,
    RED,
    SOURCES,
    WIDTH,
    YELLOW,
    bordered,
    clear,
    jpeg,
    still,
    turned,
)
from PIL import Image, ImageCms, ImageOps
from render_tools import check_near, encoded, opened, rendered, seen, shown

from ferrotype.domain.problems import InvalidField

LANCZOS = Image.Resampling.LANCZOS
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PNG = encoded(still())
CLEAR = encoded(clear())
TURNS = range(1, 9)
NEAREST_CORNER = 4  # pixels from the edges, well within a corner's square


def corners(image: Image.Image) -> list[tuple[int, int, int]]:
    """Top left, top right, bottom left, bottom right."""
    rgb = image.convert("RGB")
    right, bottom = image.width - 1 - NEAREST_CORNER, image.height - 1 - NEAREST_CORNER
    places = [(x, y) for y in (NEAREST_CORNER, bottom) for x in (NEAREST_CORNER, right)]
    found: list[Any] = [rgb.getpixel(place) for place in places]
    return found


def close(found: Any, expected: Any, by: float = 6) -> bool:
    return bool(np.abs(np.subtract(found, expected)).max() <= by)


# Size


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("w=60", (60, 40)),
        ("h=40", (60, 40)),
        ("w=7", (7, 5)),
        ("w=1", (1, 1)),
        ("w=60&h=60", (60, 60)),
        ("w=60&h=60&fit=contain", (60, 60)),
        ("w=60&h=60&fit=inside", (60, 40)),
        ("w=60&h=60&fit=outside", (90, 60)),
        ("w=60&h=60&fit=fill", (60, 60)),
        ("w=500", (120, 80)),
        ("w=500&enlarge=1", (500, 333)),
        ("w=500&h=500", (80, 80)),
        ("w=240&h=100", (120, 50)),
        ("w=500&h=500&enlarge=1", (500, 500)),
        ("w=500&h=500&fit=inside", (120, 80)),
        ("w=500&h=500&fit=outside", (120, 80)),
        ("w=100&h=500&fit=outside", (120, 80)),
        ("w=500&h=300&fit=contain", (500, 300)),
        ("w=240&h=40&fit=fill", (120, 20)),
        ("w=240&h=40&fit=fill&enlarge=1", (240, 40)),
        ("w=30&dpr=2", (60, 40)),
        ("crop=10,10,50,60", (50, 60)),
        ("crop=10,10,50,60&w=25", (25, 30)),
        ("rotate=90", (80, 120)),
        ("rotate=45", (141, 141)),
        ("w=60&rotate=270", (40, 60)),
    ],
)
def test_sizes(query: str, size: tuple[int, int]) -> None:
    assert shown(PNG, query).size == size


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("query", ["w=37&h=23", "w=37&h=23&fit=fill", "w=11"])
def test_every_kind_gets_the_exact_size(name: str, query: str) -> None:
    found = rendered(SOURCES[name](), query + "&enlarge=1")
    with Image.open(io.BytesIO(SOURCES[name]())) as image:
        width, height = ImageOps.exif_transpose(image).size
    expected = (37, 23) if "h=" in query else (11, max(1, round(11 * height / width)))
    assert (found.width, found.height) == expected


def test_scaling_is_lanczos() -> None:
    check_near(shown(PNG, "w=60"), still().resize((60, 40), LANCZOS), mean=0.5, greatest=8)


def test_enlarging_is_smooth() -> None:
    expected = still().resize((300, 200), Image.Resampling.BICUBIC)
    check_near(shown(PNG, "w=300&enlarge=1"), expected, mean=1.5, greatest=60)


@pytest.mark.parametrize("name", ["jpeg-large", "webp-large"])
@pytest.mark.parametrize("width", [60, 110, 160, 190, 260, 390, 610])
def test_shrinking_while_decoding_is_seen_by_nobody(name: str, width: int) -> None:
    """Widths around every step of both decoders."""
    full = opened(SOURCES[name]()).convert("RGB")
    expected = full.resize((width, round(width * 2 / 3)), LANCZOS)
    check_near(shown(SOURCES[name](), f"w={width}&format=png"), expected, mean=1.0, greatest=45)


def test_a_crop_of_a_shrunk_picture_is_where_it_should_be() -> None:
    full = opened(SOURCES["jpeg-large"]()).convert("RGB")
    expected = full.crop((301, 97, 1102, 744)).resize((100, 81), LANCZOS)
    found = shown(SOURCES["jpeg-large"](), "crop=301,97,801,647&w=100&format=png")
    check_near(found, expected, mean=1.2, greatest=90)  # a quarter of a pixel, at the edges of the F


def test_transparent_pixels_give_no_colour_to_their_neighbours() -> None:
    """Green is hidden in what is transparent beside red."""
    pixels = np.zeros((60, 60, 4), np.uint8)
    pixels[:, :, 1] = 255
    pixels[:, 30:] = (255, 0, 0, 255)
    found = np.asarray(shown(encoded(Image.fromarray(pixels, "RGBA")), "w=20"))
    visible = found[found[..., 3] > 8]
    assert visible[:, 1].max() <= 4


def test_scaling_with_alpha() -> None:
    check_near(shown(CLEAR, "w=60"), clear().resize((60, 40), LANCZOS), mean=1.0, greatest=12)


# Orientation


@pytest.mark.parametrize("turn", TURNS)
def test_every_orientation_is_applied(turn: int) -> None:
    found = shown(turned(turn), "w=100&format=png")
    check_near(found, still().resize((100, 67), LANCZOS), mean=1.0, greatest=30)
    assert close(corners(found), [RED, GREEN, BLUE, YELLOW], by=12)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("box", [(0, 0, 30, 20), (70, 5, 50, 30), (13, 41, 60, 39)])
def test_crop_is_in_pixels_of_the_upright_picture(turn: int, box: tuple[int, int, int, int]) -> None:
    left, top, width, height = box
    expected = ImageOps.exif_transpose(opened(turned(turn))).crop((left, top, left + width, top + height))
    found = shown(turned(turn), f"crop={left},{top},{width},{height}&format=png")
    check_near(found, expected, mean=0.6, greatest=4)


@pytest.mark.parametrize("turn", TURNS)
def test_gravity_and_turning_are_of_the_upright_picture(turn: int) -> None:
    east = still().crop((40, 0, 120, 80))
    check_near(shown(turned(turn), "w=80&h=80&gravity=east&format=png"), east, mean=1.0, greatest=16)
    check_near(
        shown(turned(turn), "rotate=90&flip=h&format=png"),
        still().transpose(Image.Transpose.ROTATE_270).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        mean=1.0,
        greatest=16,
    )


@pytest.mark.parametrize("turn", TURNS)
def test_trim_looks_at_the_upright_picture(turn: int) -> None:
    """Two colours at the edges, so that it matters which corner is taken for the border."""
    image = Image.new("RGB", (100, 60), (200, 200, 200))
    image.paste((20, 20, 20), (90, 0, 100, 60))  # dark on the right
    image.paste((200, 30, 30), (20, 15, 60, 40))
    stored = (
        image.transpose(
            {
                1: Image.Transpose.ROTATE_90,  # not used
                2: Image.Transpose.FLIP_LEFT_RIGHT,
                3: Image.Transpose.ROTATE_180,
                4: Image.Transpose.FLIP_TOP_BOTTOM,
                5: Image.Transpose.TRANSPOSE,
                6: Image.Transpose.ROTATE_90,
                7: Image.Transpose.TRANSVERSE,
                8: Image.Transpose.ROTATE_270,
            }[turn]
        )
        if turn > 1
        else image
    )
    exif = Image.Exif()
    exif[0x0112] = turn
    found = shown(encoded(stored, "PNG", exif=exif), "trim=10")
    check_near(found, image.crop((20, 0, 100, 60)), mean=0, greatest=0)


# Colour


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("jpeg-p3", 1.2),
        ("jpeg-adobe", 1.2),
        ("png-16", 0.6),
        ("avif-10", 4.0),
        ("avif", 4.0),
        ("tiff", 0.1),
        ("webp", 0.1),
        ("jpeg-cmyk", 5.0),
        ("gif", 3.0),
    ],
)
def test_it_looks_like_the_scene(name: str, mean: float) -> None:
    """They hold the same picture in other words; inks and palettes cannot say all of it."""
    found = shown(SOURCES[name](), "format=png")
    apart = np.abs(seen(found) - seen(still()))
    assert (found.mode, found.info.get("icc_profile")) == ("RGB", None)
    assert apart.mean() <= mean


@pytest.mark.parametrize(("name", "profile"), [("jpeg-p3", P3), ("jpeg-adobe", ADOBE)])
def test_profiles_are_heeded(name: str, profile: bytes) -> None:
    """As littleCMS converts them, and not as the values would be read without."""
    image = opened(SOURCES[name]()).convert("RGB")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    assert expected is not None
    found = shown(SOURCES[name](), "format=png")
    check_near(found, expected, mean=0.8, greatest=6)
    assert np.abs(seen(found) - seen(image)).mean() > 2


def test_cmyk_by_its_profile() -> None:
    image = opened(SOURCES["jpeg-cmyk"]())
    source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
    expected = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB", renderingIntent=relative)
    assert expected is not None
    check_near(shown(SOURCES["jpeg-cmyk"](), "format=png"), expected, mean=0.6, greatest=8)


def test_cmyk_without_a_profile_is_no_negative() -> None:
    found = shown(SOURCES["jpeg-cmyk-bare"](), "format=png")
    assert found.mode == "RGB"
    assert close(corners(found), [RED, GREEN, BLUE, YELLOW], by=70)


@pytest.mark.parametrize(
    ("name", "mode"), [("png-grey", "L"), ("png-grey-16", "L"), ("png-grey-alpha", "LA"), ("jpeg-grey", "L")]
)
def test_grey_stays_grey(name: str, mode: str) -> None:
    found = shown(SOURCES[name](), "w=60")
    grey = clear().convert("LA") if mode == "LA" else still().convert("L")
    assert found.mode == mode
    check_near(found, grey.resize((60, 40), LANCZOS), mean=1.5, greatest=24)


def test_grey_gets_colour_where_colour_is_asked_for() -> None:
    found = shown(SOURCES["png-grey"](), "w=60&h=60&fit=contain&bg=red")
    assert found.mode == "RGB"
    assert found.getpixel((30, 2)) == (255, 0, 0)
    assert shown(SOURCES["png-grey"](), "w=60&h=60&fit=contain&bg=gray").mode == "L"


def test_a_grey_profile_is_heeded() -> None:
    """The same light has another number at gamma 1.8."""
    profile = icc.grey(icc.gamma(1.8))
    image = Image.new("L", (20, 20), 128)
    expected = round(255 * (1.055 * (128 / 255) ** (1.8 / 2.4) - 0.055))
    found = shown(encoded(image, "PNG", icc_profile=profile), "format=png")
    assert abs(found.convert("L").getpixel((5, 5)) - expected) <= 2  # type: ignore[operator]


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_grey_never_carries_a_profile_of_colours(form: str) -> None:
    data = encoded(still().convert("L"), "PNG", icc_profile=icc.grey(icc.gamma(1.8)))
    found = shown(data, f"format={form}&strip=0&w=60")
    assert (found.mode, found.info.get("icc_profile")) == ("L", None)


def test_a_broken_profile_is_no_profile() -> None:
    for profile in (b"nonsense", bytes(200), P3[:200], icc.grey(icc.gamma(1.8))):
        found = shown(encoded(still(), "PNG", icc_profile=profile), "format=png&crop=0,0,119,80")
        check_near(found, still().crop((0, 0, 119, 80)), mean=0.6, greatest=3)


# Gravity

BOX = 40


@pytest.mark.parametrize(
    ("gravity", "left"),
    [("west", 0), ("centre", 20), ("east", 40), ("0.25,0", 10), ("0,0.5", 0), ("1,1", 40)],
)
def test_what_stays_of_a_wide_picture(gravity: str, left: int) -> None:
    """120 x 80 scaled to 80 high would be 120 wide: the square is moved along 40 pixels."""
    found = shown(PNG, f"w=80&h=80&gravity={gravity}")
    if gravity == "0.25,0":
        left = 0  # 30 - 40, and moved inside
    check_near(found, still().crop((left, 0, left + 80, 80)), mean=0, greatest=0)


@pytest.mark.parametrize(("gravity", "top"), [("north", 0), ("centre", 25), ("south", 50), ("0.5,0.5", 25)])
def test_what_stays_of_a_high_picture(gravity: str, top: int) -> None:
    found = shown(PNG, f"w=120&h=30&gravity={gravity}")
    check_near(found, still().crop((0, top, 120, top + 30)), mean=0, greatest=0)


def test_a_focal_point_is_in_the_middle_where_it_can_be() -> None:
    found = shown(PNG, "w=40&h=80&gravity=0.4,0.2")
    check_near(found, still().crop((28, 0, 68, 80)), mean=0, greatest=0)


@pytest.mark.parametrize(
    ("gravity", "at"),
    [
        ("northwest", (0, 0)),
        ("north", (10, 0)),
        ("southeast", (20, 40)),
        ("centre", (10, 20)),
        ("0.5,0.25", (10, 10)),
    ],
)
def test_where_the_picture_stands_in_its_box(gravity: str, at: tuple[int, int]) -> None:
    expected = Image.new("RGB", (140, 120), (0, 0, 255))
    expected.paste(still(), at)
    found = shown(PNG, f"w=140&h=120&fit=contain&gravity={gravity}&bg=0000ff")
    check_near(found, expected, mean=0, greatest=0)


@pytest.mark.parametrize("gravity", ["attention", "entropy"])
@pytest.mark.parametrize("left", [20, 200])
def test_smart_crops_find_what_there_is_to_see(gravity: str, left: int) -> None:
    """A face, as far as a machine is concerned, on a plain wall."""
    image = Image.new("RGB", (300, 100), (120, 130, 140))
    noise = np.random.default_rng(5).integers(-40, 40, (60, 60, 1))
    image.paste(
        Image.fromarray((np.array([210, 150, 120]) + noise).clip(0, 255).astype(np.uint8)), (left, 20)
    )
    found = np.asarray(shown(encoded(image), f"w=100&h=100&gravity={gravity}"), dtype=int)
    skin = np.abs(found - [120, 130, 140]).max(axis=2) > 4
    assert skin.sum() > 0.9 * 60 * 60


# Crop and trim


@pytest.mark.parametrize("name", ["png", "png-16", "png-alpha", "webp", "tiff", "gif"])
def test_crop_is_exact(name: str) -> None:
    full, part = shown(SOURCES[name](), "format=png"), shown(SOURCES[name](), "crop=11,7,93,59&format=png")
    check_near(part, full.crop((11, 7, 104, 66)), mean=0, greatest=0)


@pytest.mark.parametrize(
    "crop", ["0,0,121,80", "0,0,120,81", "120,0,1,1", "0,80,1,1", "60,40,61,1", "999999,0,1,1"]
)
@pytest.mark.parametrize("name", ["png", "jpeg-turned-6", "gif-moving"])
def test_a_crop_outside_is_refused(crop: str, name: str) -> None:
    with pytest.raises(InvalidField) as caught:
        rendered(SOURCES[name](), f"crop={crop}")
    assert (caught.value.field, caught.value.limit) == ("crop", [120, 80])


@pytest.mark.parametrize("alpha", [False, True])
def test_trim(alpha: bool) -> None:
    image = bordered(alpha=alpha)
    found = shown(encoded(image), "trim=10")
    check_near(found, image.crop((10, 20, 130, 100)), mean=0, greatest=0)


def test_trim_keeps_thin_lines_and_lone_dots() -> None:
    image = Image.new("RGB", (50, 40), "white")
    image.putpixel((5, 30), (0, 0, 0))
    image.paste((0, 0, 0), (20, 3, 45, 4))
    assert shown(encoded(image), "trim=10").size == (40, 28)


def test_trim_goes_by_distance() -> None:
    image = Image.new("RGB", (50, 40), (100, 100, 100))
    image.paste((110, 100, 100), (10, 10, 40, 30))
    data = encoded(image)
    assert shown(data, "trim=9").size == (30, 20)
    assert shown(data, "trim=10").size == (50, 40)  # one colour, then: nothing to trim


def test_trim_comes_after_crop_and_before_scaling() -> None:
    image = Image.new("RGB", (100, 100), "white")
    image.paste((255, 0, 0), (40, 40, 60, 60))
    assert shown(encoded(image), "crop=30,30,50,50&trim=5&w=10").size == (10, 10)


def test_what_hides_in_transparent_pixels_does_not_stop_a_trim() -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (40, 40, 4)).astype(np.uint8)
    pixels[..., 3] = 0
    pixels[10:30, 5:35] = (10, 20, 30, 255)
    assert shown(encoded(Image.fromarray(pixels, "RGBA")), "trim=1").size == (30, 20)


# Turning


@pytest.mark.parametrize(
    ("query", "way"),
    [
        ("rotate=90", Image.Transpose.ROTATE_270),  # Pillow turns the other way
        ("rotate=180", Image.Transpose.ROTATE_180),
        ("rotate=270", Image.Transpose.ROTATE_90),
        ("flip=h", Image.Transpose.FLIP_LEFT_RIGHT),
        ("flip=v", Image.Transpose.FLIP_TOP_BOTTOM),
        ("flip=hv", Image.Transpose.ROTATE_180),
        ("rotate=90&flip=h", Image.Transpose.TRANSPOSE),
        ("rotate=90&flip=v", Image.Transpose.TRANSVERSE),
    ],
)
def test_right_angles_and_mirrors_are_exact(query: str, way: Image.Transpose) -> None:
    check_near(shown(PNG, query), still().transpose(way), mean=0, greatest=0)


@pytest.mark.parametrize("degrees", [1, 30, 135, 200, 359])
def test_any_angle(degrees: int) -> None:
    image = Image.new("RGB", (400, 300))
    image.paste(still().resize((400, 300)), (0, 0))
    found = shown(encoded(image), f"rotate={degrees}&bg=lime")
    expected = image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(0, 255, 0))
    assert max(abs(a - b) for a, b in zip(found.size, expected.size, strict=True)) <= 2
    middle = [
        (each.width // 2 - 120, each.height // 2 - 90, each.width // 2 + 120, each.height // 2 + 90)
        for each in (found, expected)
    ]
    check_near(found.crop(middle[0]), expected.crop(middle[1]), mean=3.5, greatest=200)
    assert found.getpixel((1, 1)) == (0, 255, 0)


def test_new_corners_are_transparent_or_white() -> None:
    assert shown(PNG, "rotate=45").convert("RGBA").getpixel((2, 2)) == (0, 0, 0, 0)
    corner = shown(PNG, "rotate=45&format=jpeg").getpixel((2, 2))
    assert close(corner, (255, 255, 255), by=3)


# Background


@pytest.mark.parametrize(
    ("query", "ground"),
    [("format=jpeg&q=100", "white"), ("format=jpeg&q=100&bg=red", "red"), ("format=png&bg=00f", "blue")],
)
def test_what_is_behind_transparency(query: str, ground: str) -> None:
    expected = Image.alpha_composite(Image.new("RGBA", clear().size, ground), clear()).convert("RGB")
    found = shown(CLEAR, query)
    assert found.mode == "RGB"
    check_near(found, expected, mean=2.0, greatest=70 if "jpeg" in query else 1)


def test_a_background_that_is_see_through() -> None:
    expected = Image.alpha_composite(Image.new("RGBA", clear().size, (255, 0, 0, 128)), clear())
    check_near(shown(CLEAR, "bg=ff000080"), expected, mean=0.7, greatest=3)
    over_white = Image.alpha_composite(Image.new("RGBA", clear().size, "white"), expected).convert("RGB")
    check_near(shown(CLEAR, "bg=ff000080&format=jpeg&q=100"), over_white, mean=2.0, greatest=70)


def test_a_background_changes_nothing_that_is_opaque() -> None:
    check_near(shown(PNG, "bg=red"), still(), mean=0, greatest=0)


# Blur and sharpen


def gaussian(image: Image.Image, sigma: float) -> Image.Image:
    """By the definition, edges repeated."""
    reach = int(sigma * 5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    found = np.asarray(image.convert("RGB"), dtype=np.float64)
    for axis in (0, 1):
        padding = [(reach, reach) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(found, padding, mode="edge")
        found = np.apply_along_axis(lambda line: np.convolve(line, kernel, "valid"), axis, padded)
    return Image.fromarray(found.round().clip(0, 255).astype(np.uint8), "RGB")


@pytest.mark.parametrize("sigma", [1, 4, 11, 13, 30])
def test_blur_is_gaussian(sigma: int) -> None:
    """The wide ones are done on a smaller picture, which nobody sees."""
    image = still().resize((420, 280), Image.Resampling.NEAREST)
    found = shown(encoded(image), f"blur={sigma}")
    check_near(found, gaussian(image, sigma), mean=1.6, greatest=9)


def test_blur_takes_no_colour_from_what_is_transparent() -> None:
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[:, :, 1] = 255
    pixels[20:60, 20:60] = (255, 0, 0, 255)
    for sigma in (3, 20):
        found = np.asarray(shown(encoded(Image.fromarray(pixels, "RGBA")), f"blur={sigma}"))
        visible = found[found[..., 3] > 8]
        assert visible[:, 1].max() <= 12


def test_sharpen_makes_edges_steeper_and_leaves_flats_alone() -> None:
    image = gaussian(still().resize((240, 160)), 2)
    found = np.asarray(shown(encoded(image), "sharpen=2").convert("L"), dtype=float)
    before = np.asarray(image.convert("L"), dtype=float)
    assert np.abs(np.diff(found)).max() > 1.2 * np.abs(np.diff(before)).max()
    flat = np.s_[100:120, 170:200]
    assert np.abs(found[flat] - before[flat]).mean() < 2


# Formats


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("png", "image/png"), ("png-16", "image/png"), ("apng", "image/png"), ("jpeg", "image/jpeg"),
        ("webp", "image/webp"), ("webp-moving", "image/webp"), ("avif", "image/avif"), ("gif", "image/gif"),
        ("tiff", "image/jpeg"), ("tiff-alpha", "image/png"),
    ],
)  # fmt: skip
def test_the_format_stays_unless_another_is_named(name: str, content_type: str) -> None:
    assert rendered(SOURCES[name](), "w=60").content_type == content_type
    assert rendered(SOURCES[name](), "w=60&format=webp").content_type == "image/webp"


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif"])
def test_quality_is_one_scale(form: str) -> None:
    sizes = [len(rendered(PNG, f"format={form}&q={q}").data) for q in (1, 30, 60, 80, 95, 100)]
    assert sizes == sorted(sizes)
    assert len(rendered(PNG, f"format={form}").data) == sizes[3]


def test_avif_looks_like_jpeg_at_the_same_quality() -> None:
    """Within a third of its error, over the scale."""
    noise = np.random.default_rng(7).normal(0, 12, (240, 360, 3))
    image = Image.fromarray((np.asarray(still().resize((360, 240))) + noise).clip(0, 255).astype(np.uint8))
    for q in (20, 40, 60, 80, 90):
        errors = [
            float(np.abs(seen(shown(encoded(image), f"format={form}&q={q}")) - seen(image)).mean())
            for form in ("avif", "jpeg")
        ]
        assert 0.67 < errors[0] / errors[1] < 1.5, (q, errors)


def test_a_jpeg_comes_in_scans() -> None:
    assert b"\xff\xc2" in rendered(PNG, "format=jpeg").data[:1000]


@pytest.mark.parametrize("form", ["png", "webp", "avif", "gif", "jpeg"])
def test_the_same_bytes_every_time(form: str) -> None:
    query = f"w=70&h=50&gravity=attention&format={form}"
    assert rendered(CLEAR, query) == rendered(CLEAR, query)


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    asked = [
        (SOURCES[name](), query)
        for name in ("png-alpha", "jpeg-p3", "jpeg-turned-6", "gif-moving", "webp-large", "avif", "png-16")
        for query in ("w=60", "w=50&h=70&gravity=attention&format=avif", "rotate=20&blur=3&format=webp")
    ]
    one_by_one = [rendered(*each) for each in asked]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda each: rendered(*each), asked * 2)) == one_by_one * 2


def test_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    assert rendered(path, "w=60&trim=3") == rendered(PNG, "w=60&trim=3")


def test_the_original_is_its_own_bytes() -> None:
    found = rendered(turned(6), "")
    assert (found.data, found.content_type, found.width, found.height) == (
        turned(6),
        "image/jpeg",
        WIDTH,
        HEIGHT,
    )


# Metadata


def told() -> bytes:
    """A photograph with everything that a camera says, on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.0)})
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
    image = opened(SOURCES["jpeg-p3"]()).transpose(Image.Transpose.ROTATE_90)
    return jpeg(image, exif=exif, xmp=xmp, icc_profile=P3)


@pytest.mark.parametrize("form", ["jpeg", "webp", "png", "avif"])
def test_metadata_goes_unless_it_is_to_stay(form: str) -> None:
    assert b"Camera" in told()
    data = rendered(told(), f"w=60&format={form}").data
    assert not any(word in data for word in (b"Camera", b"xmpmeta", b"acsp", b"Exif"))
    image = opened(rendered(told(), f"w=60&format={form}&strip=0").data)
    exif = image.getexif()
    assert (exif[0x010F], exif.get(0x0112, 1)) == ("Camera", 1)
    assert exif.get_ifd(0x8825)[1] == "N"
    assert image.info["icc_profile"] == P3
    assert any(b"xmpmeta" in str(value).encode() for value in image.info.values())
    assert image.size == (60, 40)


def test_colours_stay_in_their_space_when_the_profile_stays() -> None:
    source = opened(SOURCES["jpeg-p3"]()).convert("RGB")
    found = shown(SOURCES["jpeg-p3"](), "format=png&strip=0&flip=h")
    check_near(found, ImageOps.mirror(source), mean=0.5, greatest=3)


@pytest.mark.parametrize(("name", "profile"), [("jpeg-p3", P3), ("jpeg-adobe", ADOBE)])
def test_colours_that_are_asked_for_are_put_into_that_space(name: str, profile: bytes) -> None:
    found = shown(SOURCES[name](), "w=120&h=120&fit=contain&bg=ff8000&format=png&strip=0")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    back = ImageCms.profileToProfile(found, source, SRGB, outputMode="RGB")
    assert back is not None
    assert close(back.getpixel((60, 5)), (255, 128, 0), by=3)


@pytest.mark.parametrize("query", ["format=gif&strip=0", "format=gif"])
def test_what_cannot_carry_a_profile_gets_srgb(query: str) -> None:
    found = shown(SOURCES["jpeg-p3"](), query)
    assert close(corners(found), [RED, GREEN, BLUE, YELLOW], by=8)


def test_the_cameras_preview_goes() -> None:
    image = pyvips.Image.new_from_buffer(told(), "").copy()
    preview = b"\xff\xd8 the whole scene \xff\xd9"
    image.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", preview)
    data = image.jpegsave_buffer()
    assert b"the whole scene" in data
    assert b"the whole scene" not in rendered(data, "crop=0,0,20,20&strip=0").data


# Motion


def moving(data: bytes) -> tuple[list[Image.Image], list[int], int]:
    """Frames, delays in ms, how often it is shown."""
    image = Image.open(io.BytesIO(data))
    frames, delays = [], []
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        frames.append(image.convert("RGBA"))
        delays.append(int(image.info.get("duration", 0)))
    # A GIF says how often it is repeated, a WebP how often it is shown.
    shows = int(image.info.get("loop", 0)) + (image.format == "GIF")
    return frames, delays, shows


@pytest.mark.parametrize("form", ["webp", "gif"])
@pytest.mark.parametrize("name", ["webp-moving", "gif-moving", "webp-moving-alpha"])
@pytest.mark.parametrize("query", ["w=60", "w=50&h=70&gravity=east", "rotate=90&flip=v", "blur=2&bg=white"])
def test_frames_are_transformed_one_by_one(name: str, form: str, query: str) -> None:
    frames, delays, shows = moving(rendered(SOURCES[name](), f"{query}&format={form}&q=100").data)
    sources, *_ = moving(SOURCES[name]())
    assert (len(frames), delays, shows) == (4, [100, 200, 50, 300], moving(SOURCES[name]())[2])
    for frame, source in zip(frames, sources, strict=True):
        alone = shown(encoded(source), query)
        if form == "gif":  # opaque or not, nothing between
            alone.putalpha(alone.convert("RGBA").getchannel("A").point(lambda value: 255 * (value >= 128)))
        check_near(frame, alone, mean=5.0, greatest=255)


def test_neighbouring_frames_do_not_touch() -> None:
    """Black above white: a resampler that ran over the seam would make grey."""
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("black", "white", "black")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    found, *_ = moving(rendered(data, "w=13&q=100").data)
    assert [np.ptp(np.asarray(each.convert("L"))) for each in found] == [0, 0, 0]


@pytest.mark.parametrize("gravity", ["attention", "entropy"])
def test_a_smart_crop_does_not_jump(gravity: str) -> None:
    """What there is to see goes from left to right; the wall behind it, which shades, stays where it was."""
    wall = np.repeat(np.linspace(60, 180, 300)[None, :, None], 100, axis=0).repeat(3, axis=2)
    noise = np.random.default_rng(5).integers(-40, 40, (50, 50, 1))
    frames = []
    for left in (10, 120, 240):
        pixels = wall.copy()
        pixels[40:90, left : left + 50] = np.array([210, 150, 120]) + noise
        frames.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    found, *_ = moving(rendered(data, f"w=100&h=100&gravity={gravity}&q=100").data)
    tops = [np.asarray(each.convert("L"), dtype=float)[:30].mean() for each in found]
    assert np.ptp(tops) < 2
    assert tops[0] < 110  # the left of the wall: where the first frame has something


def test_a_trim_keeps_what_any_frame_shows() -> None:
    frames = [Image.new("RGB", (60, 40), "white") for _ in range(2)]
    frames[0].paste((255, 0, 0), (10, 10, 20, 20))
    frames[1].paste((255, 0, 0), (40, 25, 50, 30))
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    found = rendered(data, "trim=20")
    assert (found.width, found.height) == (40, 20)
    assert len(moving(found.data)[0]) == 2


@pytest.mark.parametrize("name", ["webp-moving", "gif-moving", "apng"])
@pytest.mark.parametrize("form", ["jpeg", "avif", "png"])
def test_what_cannot_move_is_the_first_frame(name: str, form: str) -> None:
    first = moving(SOURCES[name]())[0][0].convert("RGB")
    found = shown(SOURCES[name](), f"crop=0,0,119,80&format={form}&q=100")
    check_near(found, first.crop((0, 0, 119, 80)), mean=3.0, greatest=120)


@pytest.mark.parametrize(
    "query", ["format=png", "format=webp", "format=gif", "strip=0&format=png", "q=50&format=webp"]
)
def test_an_animated_png_passes_untouched(query: str) -> None:
    found = rendered(SOURCES["apng"](), query)
    assert (found.data, found.content_type, found.width) == (SOURCES["apng"](), "image/png", WIDTH)


@pytest.mark.parametrize("query", ["w=60", "flip=h", "format=jpeg", "format=avif", "bg=red"])
def test_an_animated_png_of_which_more_is_asked_is_its_first_frame(query: str) -> None:
    found = rendered(SOURCES["apng"](), query)
    assert found.data != SOURCES["apng"]()
    assert getattr(Image.open(io.BytesIO(found.data)), "n_frames", 1) == 1


def test_one_frame_is_no_animation() -> None:
    image = Image.open(io.BytesIO(rendered(SOURCES["gif"](), "w=60").data))
    assert getattr(image, "n_frames", 1) == 1


def test_the_corner_squares_are_where_the_tests_look() -> None:
    assert NEAREST_CORNER < CORNER / 2
    assert corners(still()) == [RED, GREEN, BLUE, YELLOW]
