"""Settings of everything that reads, scales or writes pictures."""

from __future__ import annotations

import os
from typing import ClassVar

from ferrotype.config import Settings, setting

MIB = 1024 * 1024


class ImagingSettings(Settings):
    """Bounds of the pictures that are accepted, and the pool that works on them."""

    area: ClassVar[str] = "imaging"

    max_upload_bytes: int = setting(32 * MIB, "Largest picture that is accepted, in bytes.", ge=1024)
    max_pixels: int = setting(
        64 * 1024 * 1024,
        "Most pixels of a picture, all frames of an animation together (64 Mi is 8192 x 8192).",
        ge=1,
    )
    max_side: int = setting(16_384, "Longest side of a picture, in pixels.", ge=1, le=65_535)
    max_frames: int = setting(256, "Most frames of an animation.", ge=1)
    transform_timeout: float = setting(20.0, "Seconds that the transform of one picture may take.", gt=0)
    imaging_threads: int = setting(0, "Pictures worked on at once; 0 is the number of cores.", ge=0, le=256)
    imaging_queue: int = setting(64, "Pictures that may wait for a thread; one more is refused.", ge=0)

    @property
    def threads(self) -> int:
        """`imaging_threads`, with 0 replaced by the cores that this process may use."""
        return self.imaging_threads or cores()


def cores() -> int:
    """Processors that this process may run on, which in a container can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
