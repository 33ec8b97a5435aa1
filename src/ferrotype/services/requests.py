"""What a call asks of a provider, made of a generation's input: the same words for every provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ferrotype.catalogue import Catalogue
from ferrotype.db import attempts
from ferrotype.db.database import Database
from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.model import Deployment, Model
from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.services.inputs import Inputs


def attempt_request(
    catalogue: Catalogue,
    model: Model,
    deployment: Deployment,
    order: Mapping[str, Any],
    *,
    attempt_id: str,
    operation: str,
    first: int = 0,
    count: int = 1,
    images: Sequence[InputImage] = (),
    mask: InputImage | None = None,
    timeout: float = 600.0,
    webhook_url: str | None = None,
) -> AttemptRequest:
    """The request for pictures `first` to `first + count` of `order`, a generation's `input`."""
    native = bool(deployment.options.get("native_styles"))
    style = order["style"]
    return AttemptRequest(
        attempt_id=attempt_id,
        operation=operation,
        model=model.name,
        target=deployment.target,
        prompt=with_style(catalogue, order["prompt"], None if native else style),
        negative_prompt=order["negative_prompt"] or "",
        style=style,
        width=order["width"],
        height=order["height"],
        aspect_ratio=nearest_ratio(catalogue, model, order["width"], order["height"]),
        seed=order["seed"] + first,
        num_images=count,
        format=order["format"],
        images=tuple(images),
        mask=mask,
        params=order["params"],
        options=deployment.options,
        timeout=model.timeout or timeout,
        webhook_url=webhook_url,
        size_from_input=order.get("size_from_input", False),
    )


def with_style(catalogue: Catalogue, prompt: str, style: str | None) -> str:
    """`prompt` with the words of a style after it."""
    words = catalogue.styles[style].words if style in catalogue.styles else ""
    return ", ".join(part for part in (prompt, words) if part)


def nearest_ratio(catalogue: Catalogue, model: Model, width: int, height: int) -> str:
    """The name of the shape that is nearest to `width` x `height` among those that the model makes."""
    names = model.capabilities.aspect_ratios or list(catalogue.aspect_ratios)
    known = [catalogue.aspect_ratios[name] for name in names if name in catalogue.aspect_ratios]
    proportion = width / height

    def distance(ratio: float) -> float:
        return max(ratio, proportion) / min(ratio, proportion)

    return min(known, key=lambda ratio: distance(ratio.width / ratio.height)).name if known else "1:1"


class Requests:
    """Makes requests of generations. `hook_url` gives the address for a provider's webhooks about an attempt,
    None where none can reach this server."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        inputs: Inputs,
        timeout: float,
        hook_url: Callable[[str, str], str | None] = lambda _provider, _attempt_id: None,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._inputs = inputs
        self._timeout = timeout
        self._hook_url = hook_url

    async def of(
        self,
        generation: Generation,
        model: Model,
        deployment: Deployment,
        attempt: Attempt,
        first: int,
        count: int,
    ) -> AttemptRequest:
        """The request of an attempt. Raises NotFound when an input is gone."""
        order = generation.input
        images, mask = await self._inputs.open(order["inputs"], model.capabilities.inputs)
        return attempt_request(
            self._catalogue,
            model,
            deployment,
            order,
            attempt_id=attempt.id,
            operation=generation.operation,
            first=first,
            count=count,
            images=await self._noted(images),
            mask=mask,
            timeout=self._timeout,
            webhook_url=self._hook_url(deployment.provider, attempt.id),
        )

    async def _noted(self, images: Sequence[InputImage]) -> list[InputImage]:
        """With what providers noted of those that they made themselves."""
        if not images:
            return []
        notes = await self._database.read(lambda tx: [attempts.notes(tx, image.asset_id) for image in images])
        return [replace(image, notes=found) for image, found in zip(images, notes, strict=True)]
