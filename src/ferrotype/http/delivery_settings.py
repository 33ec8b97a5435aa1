"""Settings of the pictures that are handed out: who may ask for what, and how long an answer is good."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from ferrotype.config import Settings, setting
from ferrotype.domain.asset import Visibility
from ferrotype.domain.transform_query import Vocabulary

YEAR: Final = 365 * 24 * 3600


class DeliverySettings(Settings):
    """How pictures are handed out: signed URLs, what may be asked of a picture, and who may see it."""

    area: ClassVar[str] = "delivery"

    url_keys: list[Annotated[str, Field(min_length=16)]] = setting(
        [],
        "Keys of signed URLs, at most two of at least 16 characters: the first signs, both open. With none,"
        " one is made and kept in the data folder.",
        secret=True,
        max_length=2,
    )
    transforms: Literal["any", "signed"] = setting(
        "any",
        "Who may have pictures transformed: `any`, or `signed`: then only presets, signed URLs and callers"
        " with the API key may.",
    )
    max_variant_side: int = setting(8192, "Longest side that may be asked for, in pixels.", ge=1, le=65_535)
    max_variant_pixels: int = setting(
        40_000_000, "Most pixels that may be asked for, width times height.", ge=1
    )
    image_sides: tuple[Annotated[int, Field(ge=1)], ...] = setting(
        (),
        "Widths and heights that are made, from small to large: `320,640,1280`. Others go up to the next of"
        " them, and down to the last; any when not set.",
    )
    visibility: Visibility = setting(
        Visibility.UNLISTED,
        "Of new pictures whose order or upload names none: `public`, `unlisted` (whoever has the URL sees it)"
        " or `private` (only signed URLs and the API key open it).",
    )
    negotiated_max_age: int = setting(
        86_400,
        "Seconds that a browser or CDN keeps an answer whose bytes may come to differ, because they depend on"
        " `Accept` or on a preset; all others are kept for good.",
        ge=0,
        le=YEAR,
    )
    negotiated_stale: int = setting(
        604_800,
        "Seconds after that in which it may still be shown while a fresh one is fetched.",
        ge=0,
        le=YEAR,
    )
    disk_public_url: str | None = setting(
        None,
        "Base URL under which a CDN or web server hands out the files of the disk store. Stored originals are"
        " then answered with a 302 to it.",
        pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$",
    )

    @property
    def bounds(self) -> Vocabulary:
        """What may be asked of pictures, before presets and watermarks."""
        return Vocabulary(
            max_side=self.max_variant_side, max_pixels=self.max_variant_pixels, sides=self.image_sides
        )

    @field_validator("url_keys")
    @classmethod
    def _different(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("the two keys are the same")
        return value

    @field_validator("image_sides")
    @classmethod
    def _from_small_to_large(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("name each side once, from small to large")
        most = info.data.get("max_variant_side")
        if value and most is not None and value[-1] > most:
            raise ValueError(f"no side can be longer than FERROTYPE_MAX_VARIANT_SIDE, {most} pixels")
        return value
