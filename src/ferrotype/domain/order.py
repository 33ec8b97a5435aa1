"""The order: what a caller asks for, exactly as it travels on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ferrotype.domain.asset import Visibility

Mode = Literal["immediate", "durable"]
Format = Literal["webp", "png", "jpeg"]
Reuse = Literal["allow", "similar", "never"]

Side = Annotated[int, Field(ge=16, le=16_384)]
ImageReference = Annotated[str, Field(min_length=1)]


class Order(BaseModel):
    """`POST /v1/generations`. Unknown fields are refused: a paid API must not ignore a wish."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(
        default="", description="What to make. May be empty only where the operation needs none."
    )
    operation: str = Field(
        default="generate", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="What is asked."
    )
    model: str | None = Field(default=None, description="`owner/name`; the server's default when omitted.")
    negative_prompt: str | None = Field(default=None, description="What to leave out.")
    num_images: int = Field(default=1, ge=1, le=10, description="How many pictures.")
    aspect_ratio: str | None = Field(
        default=None, pattern=r"^\d{1,2}:\d{1,2}$", description="`16:9`; or give both sides."
    )
    width: Side | None = Field(default=None, description="Pixels; together with `height`.")
    height: Side | None = Field(default=None, description="Pixels; together with `width`.")
    style: str | None = Field(default=None, description="A style of `GET /v1/styles`.")
    seed: int | None = Field(
        default=None, ge=0, le=2**53 - 1, description="Picture k gets `seed + k`; random when omitted."
    )
    image: ImageReference | None = Field(
        default=None, description="An input: asset id, http(s) URL or data URI."
    )
    images: list[ImageReference] = Field(default_factory=list, description="Several inputs, in order.")
    mask: ImageReference | None = Field(default=None, description="Where to edit: white is changed.")
    params: dict[str, Any] = Field(default_factory=dict, description="The model's own parameters.")
    mode: Mode = Field(
        default="immediate", description="When the answer comes: pictures exist, or are stored."
    )
    format: Format | None = Field(default=None, description="Of the original; the model's own when omitted.")
    visibility: Visibility | None = Field(
        default=None, description="Who may load the pictures; the server's default when omitted."
    )
    reuse: Reuse | None = Field(
        default=None,
        description="Whether pictures of an identical earlier order (`allow`), or also of one with a similar"
        " prompt (`similar`), may be the answer; omitted: where the order fixes them, by inputs or a seed.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        default_factory=list, max_length=32
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Yours; returned as it was given.")

    @property
    def references(self) -> list[str]:
        """Every input picture, `image` before `images`."""
        return ([self.image] if self.image else []) + self.images

    @property
    def named_references(self) -> list[tuple[str, str]]:
        """Every input picture and the mask behind them, each with the field that it stands in."""
        named = [("image", self.image)] if self.image else []
        named += [(f"images.{index}", reference) for index, reference in enumerate(self.images)]
        return named + ([("mask", self.mask)] if self.mask else [])
