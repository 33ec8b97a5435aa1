"""A keyless text-to-image model: it reads a prompt, composes a scene and draws it. An illustrator, not a
diffusion model.

The subjects are OpenMoji's artwork (CC BY-SA 4.0, see `CREDIT`); skies, grounds, bodies, weather,
light and the
styles are drawn here. The road of a picture: `parse` (words to `Scene`), `compose` (backdrop from `skies` and
`grounds`, `layout` of the subjects, `sprites`, `weather`),
`finish`. Everything is synchronous and pure; the same
(prompt, negative prompt, size, seed, style, `ILLUSTRATOR_VERSION`) always gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import pyvips

from .compose import Composer
from .looks import look_for
from .parse import describe
from .scene import ILLUSTRATOR_VERSION, Scene, Subject

#: Whose artwork every picture contains; belongs on every asset made here.
CREDIT: dict[str, str] = {
    "artwork": "OpenMoji 17.0",
    "license": "CC BY-SA 4.0",
    "url": "https://openmoji.org",
    "author": "OpenMoji – the open-source emoji and icon project",
}

__all__ = ["CREDIT", "ILLUSTRATOR_VERSION", "Scene", "Subject", "describe", "illustrate"]


def illustrate(
    prompt: str,
    *,
    width: int,
    height: int,
    seed: int,
    style: str | None = None,
    negative_prompt: str = "",
    on_progress: Callable[[float, bytes | None], None] | None = None,
) -> pyvips.Image:
    """Draws `prompt` as an sRGB picture of 8 bits without alpha, `width` x `height` pixels (64-4096 each).

    `style` is "realistic", "artistic", "illustration", "3d" or None (then style words of the prompt decide).
    `on_progress(fraction, preview)` is called with rising fractions from 0 to 1; `preview` is a JPEG of at
    most
    256 px per side, or None. Whatever it raises stops the drawing and passes through. Raises ValueError for a
    size out of range; no prompt is ever an error.
    """
    for name, side in (("width", width), ("height", height)):
        if not 64 <= side <= 4096:
            raise ValueError(f"{name} must be 64-4096 pixels, not {side}")
    report = on_progress or (lambda fraction, preview: None)
    report(0.0, None)
    scene = describe(prompt, seed, negative_prompt)
    look = look_for(style if style is not None else scene.style)
    return Composer(scene, look, width, height, report).draw()
