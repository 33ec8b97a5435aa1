"""Ending the work on a picture that takes too long, in whichever thread it runs."""

from __future__ import annotations

import math
from collections import deque
from threading import Timer
from types import TracebackType
from typing import Final

from ferrotype.domain.problems import Overloaded
from ferrotype.imaging.vips import Image

#: Until a machine that was merely busy may have time, seconds.
RETRY_AFTER_S: Final = 10
#: One image is computed at a time, and reads from others. More than these would keep the memory of every
#: frame of an animation, since a watched image is held.
LATEST: Final = 4


class Deadline:
    """`seconds` of wall time for everything inside `with`.

    Another thread sets the kill flag of the watched images, and libvips stops at its next strip of pixels
    (WebP: also while it encodes). What cannot be stopped is the encoding of one AVIF picture and of one
    frame of a GIF, so their cost is bounded by other means.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._seconds = seconds
        self._watched: deque[Image] = deque(maxlen=LATEST)
        self._timer = Timer(seconds, self.expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._watched.clear()

    def watch(self, image: Image) -> Image:
        """The image, to be stopped in time. Raises as `check` does."""
        self._watched.append(image)
        self.check()  # after, so that no image slips through while the time runs out
        return image

    def settle(self, image: Image) -> Image:
        """Its pixels, computed now, in memory: for steps that read them in any order. Raises VipsError."""
        return self.watch(self.watch(image).copy_memory())

    def expire(self) -> None:
        """The time is over; called by the timer's thread."""
        self.expired = True
        for image in list(self._watched):
            image.set_kill(True)

    def check(self) -> None:
        """Raises Overloaded once the time is over.

        That is not the caller's fault for certain: a busy machine may be. So it may be tried again, later.
        """
        if self.expired:
            raise Overloaded(
                f"The picture was not ready in {self._seconds:g} s: the machine is busy, or the picture is"
                " too large for what is asked.",
                limit=self._seconds,
                retry_after=max(RETRY_AFTER_S, math.ceil(self._seconds / 2)),
            )
