"""The operator's mark, over everything else."""

from __future__ import annotations

from ferrotype.imaging.colour import like
from ferrotype.imaging.geometry import placed
from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def watermark(image: Image, work: Work) -> Image:
    """The mark in its share of the picture; a picture without transparency stays without."""
    mark = work.mark
    if mark is None:
        return image
    size = image.width, image.height
    if work.over is None:
        drawn = mark.draw(*(max(1, round(mark.share * side)) for side in size))
        work.over = work.deadline.settle(like(drawn, image))
    over = work.over
    edge = round(mark.margin * min(size))
    room = size[0] - 2 * edge, size[1] - 2 * edge
    left, top = placed(room, (over.width, over.height), mark.gravity, keep=False)
    done = image.composite2(over, "over", x=max(0, left + edge), y=max(0, top + edge)).cast("uchar")
    return done if image.hasalpha() else done.extract_band(0, n=image.bands)
