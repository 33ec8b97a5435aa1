"""What happens to a picture, step by step, a file each. A step gets an image and gives one; what it has
nothing to do for it gives back as it is.

Images are lazy: pixels run through all steps at once, strip by strip from the top. A step that reads them
in another order settles them first, which is why the picture is made small before anything else is done.
`trim` is not in the list: it looks at every frame before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ferrotype.imaging.steps.background import background
from ferrotype.imaging.steps.blur import blur
from ferrotype.imaging.steps.colour import colour
from ferrotype.imaging.steps.crop import crop
from ferrotype.imaging.steps.fit import fit
from ferrotype.imaging.steps.flip import flip
from ferrotype.imaging.steps.resize import resize
from ferrotype.imaging.steps.rotate import rotate
from ferrotype.imaging.steps.sharpen import sharpen
from ferrotype.imaging.steps.trim import trim
from ferrotype.imaging.steps.upright import upright
from ferrotype.imaging.steps.watermark import watermark
from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work

Step = Callable[[Image, Work], Image]

#: The background comes before blur and sharpen: they need not care about transparency then.
STEPS: Final[tuple[Step, ...]] = (
    crop,  # what `crop` and `trim` leave
    resize,
    colour,  # on few pixels: on all of them it costs more than the rest
    upright,
    fit,  # to the box: `cover` cuts off, `contain` adds
    rotate,
    flip,
    background,
    blur,
    sharpen,
    watermark,
)

__all__ = ["STEPS", "Step", "trim"]
