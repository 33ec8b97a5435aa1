"""What the steps of one rendering know."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.domain.transform import Transform
from ferrotype.imaging.deadline import Deadline
from ferrotype.imaging.encode import Encoder
from ferrotype.imaging.geometry import Box, Layout
from ferrotype.imaging.vips import Image
from ferrotype.imaging.watermark import Watermark


@dataclass(slots=True)
class Work:
    """One rendering: decided once, before the first pixel, and the same for every frame.

    `area` is what is read of the picture, in pixels as it is stored; `layout` says how that is scaled and
    cut, as shown; `orientation` (1-8) leads from the one to the other. `scaled` is the size that the area
    is scaled to as it is stored. `stored` is the size of a whole frame, which a decoder may give smaller.
    `window` is what a smart crop chose in the first frame, `over` the mark as it was drawn for it.
    """

    transform: Transform
    encoder: Encoder
    deadline: Deadline
    mark: Watermark | None
    orientation: int
    stored: tuple[int, int]
    area: Box
    layout: Layout
    scaled: tuple[int, int]
    window: Box | None = None
    over: Image | None = None

    @property
    def keeps_profile(self) -> bool:
        """Whether colours stay in the picture's own space."""
        return not self.transform.strip and self.encoder.profile
