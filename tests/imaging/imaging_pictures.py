"""Pictures of every kind, made by libvips or by hand."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pyvips

WIDTH, HEIGHT = 64, 48


def scene(width: int = WIDTH, height: int = HEIGHT, *, alpha: bool = False) -> Any:
    """A picture with something everywhere, so that missing data shows."""
    noise = pyvips.Image.gaussnoise(width, height, sigma=30, mean=128, seed=7)
    ramp = pyvips.Image.xyz(width, height)[0] * (255 / width)
    image = noise.bandjoin([ramp, noise.fliphor()]).cast("uchar").copy(interpretation="srgb")
    return image.bandjoin((ramp * 0.5 + 60).cast("uchar")) if alpha else image


def oriented(image: Any, orientation: int) -> Any:
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image


def animation(frames: int = 3) -> Any:
    strip = pyvips.Image.arrayjoin([scene().invert() if n % 2 else scene() for n in range(frames)], across=1)
    strip = strip.copy()
    strip.set_type(pyvips.GValue.gint_type, "page-height", HEIGHT)
    return strip


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size and brings next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + body


def apng() -> bytes:
    """A PNG with the chunk that announces an animation, right behind its IHDR."""
    png = scene().pngsave_buffer()
    return png[:33] + chunk(b"acTL", struct.pack(">II", 2, 0)) + png[33:]


#: name -> (bytes, content type, extension)
PICTURES: dict[str, tuple[bytes, str, str]] = {
    "png": (scene().pngsave_buffer(), "image/png", "png"),
    "png-interlaced": (scene(alpha=True).pngsave_buffer(interlace=True), "image/png", "png"),
    "apng": (apng(), "image/png", "png"),
    "jpeg": (scene().jpegsave_buffer(), "image/jpeg", "jpg"),
    "jpeg-progressive": (scene().jpegsave_buffer(interlace=True), "image/jpeg", "jpg"),
    "webp": (scene().webpsave_buffer(), "image/webp", "webp"),
    "webp-alpha": (scene(alpha=True).webpsave_buffer(), "image/webp", "webp"),
    "webp-lossless": (scene().webpsave_buffer(lossless=True), "image/webp", "webp"),
    "webp-animated": (animation().webpsave_buffer(), "image/webp", "webp"),
    "gif": (scene().gifsave_buffer(), "image/gif", "gif"),
    "gif-animated": (animation().gifsave_buffer(), "image/gif", "gif"),
    "avif": (scene().heifsave_buffer(compression="av1", effort=0), "image/avif", "avif"),
    "tiff": (scene().tiffsave_buffer(), "image/tiff", "tif"),
    "tiff-jpeg": (scene().tiffsave_buffer(compression="jpeg"), "image/tiff", "tif"),
    "tiff-tiled": (scene().tiffsave_buffer(tile=True, bigtiff=True), "image/tiff", "tif"),
}

#: Known by name, refused by name.
REFUSED: dict[str, bytes] = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "bmp": b"BM" + bytes(60),
    "ico": b"\0\0\1\0\1\0" + bytes(60),
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60),
    "avif-sequence": b"\0\0\0\x18ftypavis\0\0\0\0avisavif" + bytes(60),
    "jxl": b"\xff\x0a" + bytes(60),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "psd": b"8BPS" + bytes(60),
}

#: No picture at all.
OTHERS: dict[str, bytes] = {
    "html": b"<!doctype html><html><body><svg></svg></body></html>",
    "zip": b"PK\3\4" + bytes(60),
    "pdf": b"%PDF-1.7\n",
    "text": b"hello, I am a picture",
    "xml": b"<?xml version='1.0'?><!-- <svg> --><html/>",
    "elf": b"\x7fELF" + bytes(60),
    "mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(60),
    "wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "ppm": b"P6 1 1 255\n\0\0\0",
    "vips": b"\xb6\xa6\xf2\x08" + bytes(60),
    "matlab": b"MATLAB 5.0 MAT-file",
    "zeros": bytes(1000),
    "one-byte": b"\x89",
}
