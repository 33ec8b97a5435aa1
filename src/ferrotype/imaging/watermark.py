"""The operator's marks: a picture, or words in a font of the operator's."""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, Final

import pyvips

from ferrotype.domain.problems import Problem
from ferrotype.domain.transform_query import COMPASS
from ferrotype.imaging.colour import channels
from ferrotype.imaging.sniff import HEAD, SVG, sniff
from ferrotype.imaging.vips import Image, VipsError, kind_of, open_image, scaled

#: Words are measured at this size, dots per inch.
DPI: Final = 72
TRIAL: Final = 64
#: A character that no font draws.
NOBODY: Final = "\U0010fffd"
#: Families that stand for whatever the machine has.
GENERIC: Final = ("sans", "serif", "monospace", "cursive", "fantasy", "system-ui")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """What is laid over a picture, and where.

    `picture` is the bytes of one of any accepted type, or an SVG: the operator's own files are trusted.
    `text` is set in `font`, a name that fontconfig knows ("Inter Bold"), or that the file `font_file`
    brings, in `color` (`rrggbb`). The mark is as large as fits into the share `share` (0-1) of the
    picture's width and height, a share `margin` (0-1) of the picture's shorter side away from the edges
    that `gravity` (a compass point) puts it near to. `opacity` is 0-1.

    Raises ValueError for values that make no mark.
    """

    picture: bytes | None = None
    text: str | None = None
    font: str = "sans"
    font_file: Path | None = None
    color: str = "ffffff"
    opacity: float = 0.5
    share: float = 0.25
    gravity: str = "southeast"
    margin: float = 0.02

    def __post_init__(self) -> None:
        if (self.picture is None) == (not self.text):
            raise ValueError("a watermark is either a picture or a text")
        if not 0 < self.opacity <= 1:
            raise ValueError("opacity is above 0 and at most 1")
        if not 0 < self.share <= 1:
            raise ValueError("share is above 0 and at most 1")
        if not 0 <= self.margin < 0.5:
            raise ValueError("margin is at least 0 and below 0.5")
        if self.gravity not in COMPASS:
            raise ValueError(f"gravity is one of {', '.join(COMPASS)}")
        if len(self.color) != 6 or not all(digit in "0123456789abcdef" for digit in self.color):
            raise ValueError("color is rrggbb")

    @property
    def fingerprint(self) -> str:
        """Changes whenever the mark may look different: a part of the ETag and the cache key of what it is
        laid over. Raises OSError when the font file cannot be read."""
        found = sha256()
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Path):
                value = value.read_bytes()
            found.update(value if isinstance(value, bytes) else repr(value).encode())
            found.update(b"\0")
        return found.hexdigest()[:32]

    def prove(self) -> None:
        """Draw it once, for a look at the configuration. Raises ValueError for what cannot be drawn."""
        if self.font_file is not None and not self.font_file.is_file():
            raise ValueError(f"there is no font file {self.font_file}")
        try:
            if self.picture is not None and not self._is_drawing:
                kind = kind_of(self.picture[:HEAD])
                open_image(self.picture, kind, fail_on="error").avg()
            self.draw(TRIAL, TRIAL).copy_memory()
            if self.text is not None and self._is_boxes(self.text):
                raise ValueError("no font on this machine has its characters: name a font_file")
        except (VipsError, Problem) as error:
            raise ValueError(f"the watermark cannot be drawn: {error}") from None

    def has_its_font(self) -> bool:
        """Whether the words look different from those in a font that is not there. One that looks the same
        can still be right: the font that the machine puts in the place of others. Raises VipsError."""
        names = self.font.split() or ["sans"]
        if self.text is None or self.font_file is not None or names[0].casefold() in GENERIC:
            return True
        drawn = self._mask(self.text, self.font)
        others = (" ".join(("no-such-family", *names[at:])) for at in range(1, len(names) + 1))
        return not any(_same(drawn, self._mask(self.text, other)) for other in others)

    def draw(self, width: int, height: int) -> Image:
        """The mark in 8-bit sRGB with alpha, as large as fits into a box. Raises VipsError."""
        if self.picture is None:
            return self._words(width, height)
        if self._is_drawing:
            image = _vector(self.picture, width, height)
        else:
            image = scaled(self.picture, kind_of(self.picture[:HEAD]), width, height, size="both")
        if not image.hasalpha():
            image = image.bandjoin(255)
        alpha = (image.extract_band(3) * self.opacity).rint().cast("uchar")
        return image.extract_band(0, n=3).bandjoin(alpha).copy(interpretation="srgb")

    @property
    def _is_drawing(self) -> bool:
        return self.picture is not None and sniff(self.picture[:HEAD]) is SVG

    def _words(self, width: int, height: int) -> Image:
        assert self.text is not None
        trial = self._mask(self.text, self.font)
        dpi = max(1, int(10 * DPI * min(width / trial.width, height / trial.height)))
        mask = self._mask(self.text, self.font, dpi)
        mask = mask.crop(0, 0, min(width, mask.width), min(height, mask.height))
        alpha = (mask * self.opacity).rint().cast("uchar")
        return (
            alpha.new_from_image(list(channels(self.color)[:3])).bandjoin(alpha).copy(interpretation="srgb")
        )

    def _mask(self, words: str, font: str, dpi: int = 10 * DPI) -> Image:
        options: dict[str, Any] = {"font": font, "dpi": dpi}
        if self.font_file is not None:
            options["fontfile"] = str(self.font_file)
        return pyvips.Image.text(escape(words), **options)  # it reads Pango's markup

    def _is_boxes(self, words: str) -> bool:
        """Whether every character is drawn as the box of one that is in no font: so it is where none is."""
        nobody = "".join(NOBODY if each.strip() else each for each in words)
        return _same(self._mask(words, self.font), self._mask(nobody, self.font))


def _same(one: Image, other: Image) -> bool:
    size = one.width, one.height
    return size == (other.width, other.height) and bool((one - other).abs().max() == 0)


def _vector(data: bytes, width: int, height: int) -> Image:
    natural = pyvips.Image.svgload_buffer(data)
    scale = min(width / natural.width, height / natural.height)
    image = pyvips.Image.svgload_buffer(data, scale=scale)
    return image.crop(0, 0, min(width, image.width), min(height, image.height))
