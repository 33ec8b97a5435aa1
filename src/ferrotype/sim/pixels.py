"""Real pictures at little cost: what a prompt and a seed paint, PNG with text chunks, previews."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import TypeAlias

import pyvips

Picture: TypeAlias = pyvips.Image

_PREVIEW_SIDE = 256
_BLOCKS = 8


def solid(width: int, height: int, colour: tuple[int, int, int]) -> Picture:
    """One colour, 8 bit RGB."""
    return (pyvips.Image.black(width, height) + list(colour)).cast("uchar").copy(interpretation="srgb")


def paint(key: bytes, width: int, height: int) -> Picture:
    """Soft blotches of colour that depend on every byte of `key`; the same key paints the same pixels."""
    seed = hashlib.shake_256(key).digest(_BLOCKS * _BLOCKS * 3)
    blocks = pyvips.Image.new_from_memory(seed, _BLOCKS, _BLOCKS, 3, "uchar").copy(interpretation="srgb")
    return blocks.resize(width / _BLOCKS, vscale=height / _BLOCKS, kernel="linear")


def noise(picture: Picture, seed: int, strength: float) -> Picture:
    """`picture` with seeded Gaussian noise of that strength (0 to 1)."""
    grain = pyvips.Image.gaussnoise(
        picture.width, picture.height, sigma=strength * 255, mean=0, seed=seed % 2**31
    )
    return (picture + grain).cast("uchar").copy(interpretation="srgb")


def blend(below: Picture, above: Picture, factor: float | Picture) -> Picture:
    """`above`, fitted, over `below`: `factor` is 0 to 1, or a one-band mask of 0 to 255."""
    above = fit(above, below.width, below.height)
    if isinstance(factor, pyvips.Image):
        mask = fit(factor, below.width, below.height)
        return mask.ifthenelse(above, below, blend=True)
    return (below * (1 - factor) + above * factor).cast("uchar").copy(interpretation="srgb")


def fit(picture: Picture, width: int, height: int) -> Picture:
    """Stretched to that size."""
    if (picture.width, picture.height) == (width, height):
        return picture
    return picture.resize(width / picture.width, vscale=height / picture.height, kernel="linear")


def rgb(picture: Picture) -> Picture:
    """Three bands of 8 bits, whatever came."""
    if picture.interpretation not in ("srgb", "rgb") or picture.bands < 3:
        picture = picture.colourspace("srgb")
    if picture.format != "uchar":
        picture = picture.cast("uchar")
    return picture.extract_band(0, n=3) if picture.bands > 3 else picture


def png(picture: Picture, text: Mapping[str, str] | None = None) -> bytes:
    """PNG bytes, with tEXt chunks after the header as Pillow writes them (values must be ASCII)."""
    data: bytes = picture.pngsave_buffer(compression=1, keep="none")
    if not text:
        return data
    header_end = 8 + 25  # signature, IHDR
    chunks = b"".join(
        _chunk(b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1", "replace"))
        for key, value in text.items()
    )
    return data[:header_end] + chunks + data[header_end:]


def encode(picture: Picture, form: str, quality: int = 90) -> bytes:
    """JPEG, WEBP or PNG bytes."""
    if form == "JPEG":
        data: bytes = rgb(picture).jpegsave_buffer(Q=max(1, min(quality, 100)), keep="none")
    elif form == "WEBP":
        data = picture.webpsave_buffer(Q=max(0, min(quality, 100)), keep="none")
    else:
        data = png(picture)
    return data


def preview(picture: Picture, form: str) -> bytes:
    """A small picture for a preview frame."""
    scale = min(1.0, _PREVIEW_SIDE / max(picture.width, picture.height))
    small = picture.resize(scale, kernel="linear") if scale < 1 else picture
    return encode(small, form, 95)


def animation(pictures: tuple[Picture, ...], fps: float) -> bytes:
    """An animated WebP."""
    strip = pyvips.Image.arrayjoin([rgb(picture) for picture in pictures], across=1).copy()
    strip.set_type(pyvips.GValue.gint_type, "page-height", pictures[0].height)
    strip.set_type(pyvips.GValue.array_int_type, "delay", [int(1000 / fps)] * len(pictures))
    data: bytes = strip.webpsave_buffer(lossless=True)
    return data


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
