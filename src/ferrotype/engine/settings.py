"""Settings of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import field_validator

from ferrotype.config import Settings, setting

#: Calls to providers (light, heavy, comic), and the work behind the answer, which never takes their seats.
DEFAULT_CLASSES: Final[Mapping[str, int]] = {
    "light": 8,
    "heavy": 4,
    "comic": 2,
    "batch": 2,
    "arrive": 32,
    "store": 8,
    "enrich": 2,
    "forget": 4,
    "purge": 2,
    "cdn": 100,
    "notify": 8,
}
#: A class that nobody configured runs one job at a time, so that no job waits for ever.
DEFAULT_SEATS: Final = 1
MAX_CLASS_NAME: Final = 48


class EngineSettings(Settings):
    """Who runs how much at once, and what happens to a job that does not end."""

    area: ClassVar[str] = "engine"

    classes: dict[str, int] = setting(
        dict(DEFAULT_CLASSES),
        "Jobs that may run at once, per class: `light=8,heavy=4`. Classes not named keep their default; "
        f"a class that has none runs {DEFAULT_SEATS}.",
    )
    lease_seconds: float = setting(
        30.0,
        "Seconds after which the jobs of a process that died are taken over by another; a live one renews "
        "three times as often.",
        ge=1,
        le=3600,
    )
    max_starts: int = setting(5, "Starts after which a job that did not end fails.", ge=1, le=100)
    retry_base_seconds: float = setting(
        1.0, "Longest wait before the first retry of a job, in seconds; it doubles with each start.", gt=0
    )
    retry_cap_seconds: float = setting(300.0, "Longest wait before any retry of a job, in seconds.", gt=0)
    keep_jobs_days: float = setting(7.0, "Days after which the record of an ended job is deleted.", ge=0)

    @field_validator("classes", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: Any) -> Any:
        return {**DEFAULT_CLASSES, **given} if isinstance(given, Mapping) else given

    @field_validator("classes")
    @classmethod
    def _sensible(cls, classes: dict[str, int]) -> dict[str, int]:
        for name, seats in classes.items():
            if not 1 <= len(name) <= MAX_CLASS_NAME:
                raise ValueError(f"a class name has 1 to {MAX_CLASS_NAME} characters: {name!r}")
            if seats < 1:
                raise ValueError(f"class {name} needs at least one seat, {seats} would never run its jobs")
        return classes
