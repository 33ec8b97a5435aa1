"""Gaussian blur."""

from __future__ import annotations

from typing import Any, Final

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work

#: What makes libvips's bell a true one: its defaults cut it off at 1.8 sigma and round its shape to whole
#: numbers, which blurs a sixth less than is asked for and changes the brightness by up to 1 %.
BELL: Final[dict[str, Any]] = {"min_ampl": 0.02, "precision": "approximate"}
#: Sigma that is left for a picture that was made smaller first, pixels.
ENOUGH: Final = 6.0
#: A picture is made no smaller than that for it, pixels.
SHORTEST: Final = 32


def blur(image: Image, work: Work) -> Image:
    """By `blur` pixels of the result (sigma).

    A wide blur leaves no detail that a smaller picture could not hold, so it is done on one: the same to
    the eye, and what it costs no longer grows with it.
    """
    sigma = work.transform.blur
    if sigma is None:
        return image
    alpha, size = image.hasalpha(), (image.width, image.height)
    if alpha:
        image = image.premultiply().cast("uchar")
    times = max(1, min(int(sigma / ENOUGH), min(size) // SHORTEST))
    if times == 1:
        image = image.gaussblur(sigma, **BELL)
    else:
        small = image.resize(1 / times)
        small = work.deadline.settle(small.gaussblur(sigma * small.width / size[0], **BELL))
        image = small.resize(size[0] / small.width, vscale=size[1] / small.height)
    return image.unpremultiply().cast("uchar") if alpha else image
