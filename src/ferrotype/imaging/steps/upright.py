"""The EXIF orientation."""

from __future__ import annotations

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def upright(image: Image, work: Work) -> Image:
    """Turned and mirrored as its metadata says; the metadata no longer says so then."""
    return image if work.orientation == 1 else work.deadline.settle(image).autorot()
