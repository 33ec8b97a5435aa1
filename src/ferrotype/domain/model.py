"""Catalogue entries: models with their capabilities, prices and deployments; operations; styles; ratios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SourceType = Literal["trainedAlgorithmicMedia", "algorithmicMedia", "compositeWithTrainedAlgorithmicMedia"]
Scalar = bool | int | float | str


class Frozen(BaseModel):
    """Facts from the catalogue: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(Frozen):
    """One of the model's own parameters (`params` of an order) and what it may be."""

    type: Literal["integer", "number", "string", "boolean"]
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Scalar] | None = None
    max_length: int = Field(default=1_000, ge=1, description="Characters, of a string.")
    description: str = ""


class InputLimits(Frozen):
    """What a model takes as an input picture; anything beyond it is made to fit before it is sent."""

    max_pixels: int | None = Field(default=None, ge=1, description="Width x height.")
    max_side: int | None = Field(default=None, ge=16, description="Pixels of the longer side.")
    formats: list[Literal["jpeg", "png", "webp"]] = Field(
        default=["jpeg", "png", "webp"],
        min_length=1,
        description="What it reads. A picture in another format goes as PNG if it was without loss, else as"
        " the first of these that can hold it.",
    )
    quality: int = Field(default=90, ge=1, le=100, description="Of a JPEG or WebP that is made to fit.")
    alpha: bool = Field(default=True, description="Whether transparency may be sent.")


class Capabilities(Frozen):
    """What a model can do. Whatever is not declared here is refused before any money is spent."""

    min_side: int = Field(default=256, ge=16, description="Pixels.")
    max_side: int = Field(default=2048, le=16_384, description="Pixels.")
    max_pixels: int = Field(default=4_194_304, ge=1, description="Width x height.")
    multiple: int = Field(default=8, ge=1, description="Both sides are multiples of it.")
    sizes: list[tuple[int, int]] | None = Field(
        default=None, description="The only sizes, where it has fixed ones."
    )
    aspect_ratios: list[str] | None = Field(
        default=None, description="The only ratios; every known one when omitted."
    )
    size: Literal["free", "input", "derived"] = Field(
        default="free",
        description="Where the size comes from: `free`: the order, else the first ratio; `input`: the order,"
        " else the first input picture where there is one; `derived`: the model's own doing, an order cannot"
        " ask for one.",
    )
    max_per_call: int = Field(default=1, ge=1, description="Pictures that one provider call makes.")
    max_prompt: int = Field(default=10_000, ge=1, description="Characters.")
    prompt: Literal["required", "optional", "none"] = "required"
    seed: bool = True
    negative_prompt: bool = False
    styles: bool = True
    min_images: int = Field(default=0, ge=0, description="Input pictures it needs.")
    max_images: int = Field(default=0, ge=0, description="Input pictures it takes.")
    mask: bool = False
    needs_mask: bool = Field(default=False, description="It makes nothing without one.")
    inputs: InputLimits = InputLimits()
    previews: bool = False
    formats: list[str] = Field(default_factory=list, description="Formats that `format` may name.")
    params: dict[str, Parameter] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Capabilities:
        if self.size == "derived" and self.min_images < 1:
            raise ValueError("size = 'derived' needs min_images of at least 1")
        if self.needs_mask and not self.mask:
            raise ValueError("needs_mask = true needs mask = true")
        return self


class Price(Frozen):
    """Of one picture: what the account pays in credits, what the operator pays in dollars."""

    credits: int = Field(default=1, ge=0)
    usd: float = Field(default=0.0, ge=0.0)


class Deployment(Frozen):
    """Where a model runs: a configured provider and that provider's own name for it."""

    provider: str
    target: str = Field(description="The provider's own model, version or workflow.")
    priority: int = Field(default=0, description="Lower ones are used first; others stand by.")
    weight: int = Field(default=1, ge=1, description="Its share among those of the same priority.")
    max_concurrent: int | None = Field(default=None, ge=1, description="Calls under way at once.")
    cannot: list[Annotated[str, Field(pattern=r"^(format|params)\.[A-Za-z0-9_]+$")]] = Field(
        default_factory=list,
        description="What it does not honour of the model's capabilities: `format.webp`, `params.go_fast`."
        " Orders that ask for it go to the other deployments.",
    )
    usd: float | None = Field(default=None, ge=0, description="Dollars per picture here, if not the model's.")
    usd_per_second: float | None = Field(
        default=None, ge=0, description="Dollars per second, where the provider tells how long it worked."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Facts that only this provider reads.")


class Model(Frozen):
    """A catalogue entry `owner/name`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$")]
    title: str = ""
    description: str = ""
    operations: list[str] = Field(min_length=1)
    class_: str = Field(alias="class", default="light", description="Its concurrency class.")
    price: Price = Price()
    capabilities: Capabilities = Capabilities()
    defaults: dict[str, Scalar] = Field(
        default_factory=dict, description="Values of `params` when the order names none."
    )
    source_type: SourceType = "trainedAlgorithmicMedia"
    timeout: float | None = Field(default=None, gt=0, description="Seconds that one call may take.")
    on_unknown: Literal["fail", "retry"] = Field(
        default="fail",
        description="Whether a call whose outcome nobody can tell is made again, and perhaps paid twice.",
    )
    deployments: list[Deployment] = Field(min_length=1)

    def wishes(self, order: Mapping[str, Any]) -> set[str]:
        """What an order asks for, in the words of `Deployment.cannot`: its `format` and, with their defaults,
        its `params`. A parameter at its default is no wish."""
        params, known = order["params"], self.defaults
        wishes = {f"params.{name}" for name, value in params.items() if value != known.get(name)}
        if order["format"] is not None:
            wishes.add(f"format.{order['format']}")
        return wishes

    def serving(self, order: Mapping[str, Any]) -> list[Deployment]:
        """The deployments that honour everything that an order asks for."""
        wishes = self.wishes(order)
        return [each for each in self.deployments if wishes.isdisjoint(each.cannot)]


class Operation(Frozen):
    """What can be asked, with its typed inputs."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
    title: str = ""
    description: str = ""
    prompt: Literal["required", "optional", "none"] = "required"
    min_images: int = Field(default=0, ge=0)
    max_images: int = Field(default=0, ge=0)
    mask: Literal["required", "optional", "none"] = "none"
    needs_one_of: list[str] = Field(
        default_factory=list, description="Of these at least one: `prompt`, `images.1`, `params.NAME`."
    )
    params: dict[str, Parameter] = Field(
        default_factory=dict, description="Parameters that every model serving it takes."
    )


class Style(Frozen):
    """A named prompt suffix."""

    name: str
    title: str = ""
    words: str = Field(description="Added to the prompt.")


class AspectRatio(Frozen):
    """A named shape and the size it has where a model does not say otherwise."""

    name: str
    width: int
    height: int
    use: str = ""
