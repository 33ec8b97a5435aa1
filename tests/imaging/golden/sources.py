"""Small pictures of every kind, made by arithmetic, the same every time.

The scene tells what was done to it: each corner has its colour, the F has one right way to be seen, fine
lines show a bad resampler, and the sun is what a smart crop should keep.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import icc
import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms

WIDTH, HEIGHT = 120, 80
CORNER = 14
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 170, 60), (40, 60, 210), (240, 210, 40)
SUN, INK, PAPER = (255, 150, 40), (20, 20, 30), (245, 245, 240)
#: In shares of width and height.
SUN_AT = (0.8, 0.4)
#: The strokes of an F: left, top, right, bottom.
LETTER = ((0.3, 0.2, 0.36, 0.8), (0.3, 0.2, 0.52, 0.3), (0.3, 0.45, 0.46, 0.55))
ORIENTATION = 0x0112
DELAYS = (100, 200, 50, 300)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
P3 = icc.rgb(icc.DISPLAY_P3, icc.SRGB_FORMULA)
ADOBE = icc.rgb(icc.ADOBE_RGB, icc.gamma(2.2))

Pixels = NDArray[np.uint8]


def scene(width: int = WIDTH, height: int = HEIGHT, *, sun: tuple[float, float] = SUN_AT) -> Pixels:
    """RGB."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    found = np.stack([90 + 60 * x, 130 + 50 * y, 190 - 70 * x * y], axis=2)
    lines = (np.arange(height)[:, None] // 2 + np.arange(width)[None, :] // 2) % 2 == 0
    found[lines & (y > 0.85) & (x > 0.3) & (x < 0.6)] = PAPER
    for left, top, right, bottom in LETTER:
        found[(x >= left) & (x < right) & (y >= top) & (y < bottom)] = INK
    away = np.hypot((x - sun[0]) * width, (y - sun[1]) * height) / min(width, height)
    found[away < 0.16] = SUN
    across, down = CORNER / WIDTH, CORNER / HEIGHT
    found[(x < across) & (y < down)] = RED
    found[(x > 1 - across) & (y < down)] = GREEN
    found[(x < across) & (y > 1 - down)] = BLUE
    found[(x > 1 - across) & (y > 1 - down)] = YELLOW
    return found.round().clip(0, 255).astype(np.uint8)


def opacity(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A slope from left to right, a hole in the middle of the lower half, opaque corners."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    found = 80 + 175 * x
    found[np.hypot((x - 0.5) * width, (y - 0.7) * height) < 0.2 * height] = 0
    found[(np.abs(x - 0.5) > 0.38) & (np.abs(y - 0.5) > 0.32)] = 255
    return found.round().astype(np.uint8)


def still(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    return Image.fromarray(scene(width, height), "RGB")


def clear(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    return Image.fromarray(np.dstack([scene(width, height), opacity(width, height)]), "RGBA")


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "JPEG", quality=97, subsampling=0, **options)


def turned(orientation: int) -> bytes:
    """Stored so that it is the scene again once the orientation is applied."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = still()
    return jpeg(image.transpose(undo[orientation]) if orientation in undo else image, exif=exif)


def in_space(profile: bytes) -> Image.Image:
    """The scene in the colours of another RGB space; it looks the same."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    found = ImageCms.profileToProfile(still(), SRGB, target, outputMode="RGB")
    assert found is not None
    return found


def frames(*, alpha: bool = False) -> list[Image.Image]:
    """The sun goes from left to right."""
    found = []
    for index in range(len(DELAYS)):
        image = Image.fromarray(scene(sun=(0.2 + 0.2 * index, 0.4)), "RGB")
        if alpha:
            image.putalpha(Image.fromarray(opacity()))
        found.append(image)
    return found


def moving(form: str, *, alpha: bool = False, **options: Any) -> bytes:
    first, *others = frames(alpha=alpha)
    return encoded(
        first, form, save_all=True, append_images=others, duration=list(DELAYS), loop=3, disposal=2, **options
    )


def bordered(*, alpha: bool) -> Image.Image:
    """The scene with a border of 10, 20, 30 and 40 pixels: left, top, right, bottom."""
    ground = Image.new("RGBA", (WIDTH + 40, HEIGHT + 60), (250, 0, 250, 0) if alpha else (*PAPER, 255))
    ground.paste(still(), (10, 20))
    return ground if alpha else ground.convert("RGB")


def vips(image: Image.Image) -> Any:
    return pyvips.Image.new_from_array(np.asarray(image)).copy(interpretation="srgb")


def cmyk(*, profile: bool) -> bytes:
    """In inks; without a profile it is read as libvips reads bare CMYK."""
    image = vips(still()).icc_transform("cmyk", input_profile="srgb")
    data: bytes = image.jpegsave_buffer(Q=97, subsample_mode="off", keep="icc" if profile else "none")
    return data


def deep(image: Image.Image) -> bytes:
    """As a PNG of 16 bits a channel, low bytes included."""
    pixels = np.asarray(image).astype(np.uint16) * 257
    kind = "rgb16" if pixels.ndim == 3 else "grey16"
    data: bytes = pyvips.Image.new_from_array(pixels).copy(interpretation=kind).pngsave_buffer(bitdepth=16)
    return data


def avif(image: Image.Image, **options: Any) -> bytes:
    data: bytes = vips(image).heifsave_buffer(compression="av1", effort=2, Q=90, **options)
    return data


SOURCES: dict[str, Callable[[], bytes]] = {
    name: cache(make)
    for name, make in {
        "png": lambda: encoded(still(), "PNG"),
        "png-alpha": lambda: encoded(clear(), "PNG"),
        "png-grey": lambda: encoded(still().convert("L"), "PNG"),
        "png-grey-alpha": lambda: encoded(clear().convert("LA"), "PNG"),
        "png-palette": lambda: encoded(still().quantize(32), "PNG"),
        "png-palette-alpha": lambda: encoded(clear().quantize(64), "PNG"),
        "png-two-levels": lambda: encoded(still().convert("1"), "PNG"),
        "png-16": lambda: deep(still()),
        "png-16-alpha": lambda: deep(clear()),
        "png-grey-16": lambda: deep(still().convert("L")),
        "png-border": lambda: encoded(bordered(alpha=False), "PNG"),
        "png-border-alpha": lambda: encoded(bordered(alpha=True), "PNG"),
        "png-tall": lambda: encoded(still(6, 900), "PNG"),
        "png-wide": lambda: encoded(still(900, 6), "PNG"),
        "apng": lambda: moving("PNG"),
        "jpeg": lambda: jpeg(still()),
        "jpeg-large": lambda: jpeg(still(1200, 800)),
        "jpeg-grey": lambda: jpeg(still().convert("L")),
        "jpeg-p3": lambda: jpeg(in_space(P3), icc_profile=P3),
        "jpeg-adobe": lambda: jpeg(in_space(ADOBE), icc_profile=ADOBE),
        "jpeg-cmyk": lambda: cmyk(profile=True),
        "jpeg-cmyk-bare": lambda: cmyk(profile=False),
        "webp": lambda: encoded(still(), "WEBP", lossless=True),
        "webp-large": lambda: encoded(still(1200, 800), "WEBP", quality=95),
        "webp-alpha": lambda: encoded(clear(), "WEBP", lossless=True, exact=True),
        "webp-moving": lambda: moving("WEBP", lossless=True),
        "webp-moving-alpha": lambda: moving("WEBP", alpha=True, lossless=True),
        "gif": lambda: encoded(still(), "GIF"),
        "gif-moving": lambda: moving("GIF"),
        "avif": lambda: avif(still()),
        "avif-alpha": lambda: avif(clear()),
        "avif-10": lambda: avif(still(), bitdepth=10),
        "tiff": lambda: encoded(still(), "TIFF"),
        "tiff-alpha": lambda: encoded(clear(), "TIFF"),
        **{f"jpeg-turned-{turn}": lambda turn=turn: turned(turn) for turn in range(1, 9)},
    }.items()
}
