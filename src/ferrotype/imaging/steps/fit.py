"""The box that the scaled picture meets."""

from __future__ import annotations

from ferrotype.domain.transform_query import SMART
from ferrotype.imaging.geometry import Box, placed
from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def fit(image: Image, work: Work) -> Image:
    """Cut to the window of `cover`, or set on the canvas of `contain`, which is transparent."""
    layout, gravity = work.layout, work.transform.gravity
    if layout.window != layout.scaled:
        if gravity in SMART:
            image = work.deadline.settle(image)
        window = work.window or _window(image, work)
        return image.crop(window.left, window.top, *window.size)
    if layout.canvas != layout.window:
        if not image.hasalpha():
            image = image.bandjoin(255)
        left, top = placed(layout.canvas, layout.window, gravity, keep=False)
        return image.embed(left, top, *layout.canvas, extend="background", background=[0, 0, 0, 0])
    return image


def _window(image: Image, work: Work) -> Box:
    """What stays. A smart crop looks at the first frame and is kept for the others."""
    layout, gravity = work.layout, work.transform.gravity
    if gravity in SMART:
        found = image.smartcrop(*layout.window, interesting=gravity)
        # libvips tells where it has cut by the new origin.
        left, top = -found.xoffset, -found.yoffset
    else:
        left, top = placed(layout.scaled, layout.window, gravity, keep=True)
    work.window = Box(left, top, *layout.window)
    return work.window
