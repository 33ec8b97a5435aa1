"""Sharpening."""

from __future__ import annotations

from typing import Any, Final

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work

#: Of the lightness only; sharp's own strengths for flat and jagged areas, which users know.
STRENGTH: Final[dict[str, Any]] = {"m1": 1.0, "m2": 2.0}


def sharpen(image: Image, work: Work) -> Image:
    """Detail of about `sharpen` pixels of the result (sigma) is made clearer."""
    sigma = work.transform.sharpen
    return image if sigma is None else image.sharpen(sigma=sigma, **STRENGTH)
