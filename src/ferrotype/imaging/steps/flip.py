"""Mirroring."""

from __future__ import annotations

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def flip(image: Image, work: Work) -> Image:
    """Left and right exchanged (`h`), top and bottom (`v`), or both."""
    way = work.transform.flip or ""
    if "v" in way:
        image = work.deadline.settle(image).flipver()
    return image.fliphor() if "h" in way else image
