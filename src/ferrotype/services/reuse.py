"""Whether pictures that exist, or are being made, answer an order: what makes orders identical, and the look
for them.

The database is the cache: a generation's row says all that a cache would, within the order's own transaction
(docs/adr/0015-result-reuse-is-an-index.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ferrotype.db import assets, generations
from ferrotype.db.database import Transaction
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.generation import Generation
from ferrotype.domain.model import Model
from ferrotype.domain.order import Order
from ferrotype.domain.states import AssetState, GenerationState
from ferrotype.services.settings import ReuseSettings
from ferrotype.services.terms import digest, served_by

#: A change of what `reuse_key` is made of must not find keys that were made otherwise.
VERSION: Final = 1
#: Of `input`: how the answer comes, names of pictures whose content counts, a seed that nobody asked for.
NO_MATTER: Final = frozenset({"mode", "images", "mask", "inputs", "size_from_input", "seed"})

#: Of `input`: what an order says in the same words.
CHOICES: Final = (
    "prompt", "negative_prompt", "num_images", "aspect_ratio", "style", "images", "mask", "params", "mode",
    "format",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leader:
    """The generation whose pictures answer an order, and those that are there already. `similarity` (0-1) is
    that of its prompt, None where the order is the same."""

    generation: Generation
    pictures: list[Asset]
    similarity: float | None = None

    @property
    def finished(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.generation.status is GenerationState.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Reuse:
    """Finds leaders."""

    settings: ReuseSettings

    def window(self, order: Order) -> timedelta | None:
        """How old finished pictures may be to answer the order; None when it wants its own."""
        settings = self.settings
        if order.reuse == "never" or settings.reuse == "off":
            return None
        if order.reuse is not None:
            return timedelta(seconds=settings.reuse_seconds)
        if settings.reuse == "asked":
            return None
        if order.references or order.mask is not None:
            return timedelta(seconds=settings.reuse_edit_seconds)
        return None if order.seed is None else timedelta(seconds=settings.reuse_seconds)

    def find(
        self, tx: Transaction, reuse_key: str, window: timedelta, visibility: Visibility, now: datetime
    ) -> Leader | None:
        """Finished pictures that all still stand, else the generation that is on its way, else None.

        The order's transaction has locked the account by now, so that of two identical orders at once the
        second finds the first.
        """
        on_its_way: Generation | None = None
        for generation in generations.same(tx, reuse_key):
            if generation.status is not GenerationState.SUCCEEDED:
                on_its_way = generation  # the oldest of several: it ends first
            elif generation.completed_at is not None and now - generation.completed_at <= window:
                leader = standing(tx, generation, visibility)
                if leader is not None:
                    return leader
        if on_its_way is None:
            return None
        return Leader(on_its_way, assets.of_generations(tx, [on_its_way.id])[on_its_way.id])


def standing(
    tx: Transaction, generation: Generation, visibility: Visibility, similarity: float | None = None
) -> Leader | None:
    """The generation as a leader, if every picture that was asked for stands and is as visible as wanted."""
    if generation.status is not GenerationState.SUCCEEDED:
        return None
    pictures = assets.of_generations(tx, [generation.leader_id])[generation.leader_id]
    whole = len(pictures) == generation.num_images and all(
        asset.state is not AssetState.FAILED and asset.deleted_at is None and asset.visibility is visibility
        for asset in pictures
    )
    return Leader(generation, pictures, similarity) if whole else None


def fresh_order(generation: Generation) -> Order:
    """The order of a generation once more, for pictures of its own: with a seed of its own too."""
    told = generation.input
    wanted = {name: told[name] for name in CHOICES if told.get(name) is not None}
    if told["aspect_ratio"] is None and not told.get("size_from_input"):
        wanted |= {"width": told["width"], "height": told["height"]}
    return Order(
        **wanted,
        operation=generation.operation,
        model=generation.model,
        visibility=generation.visibility,
        tags=generation.tags,
        metadata=generation.metadata,
        reuse="never",
    )


def reuse_key(
    order: Order,
    account_id: str,
    model: Model,
    resolved: Mapping[str, Any],
    contents: Sequence[str],
    visibility: Visibility,
) -> str:
    """Equal for orders whose pictures may answer each other: SHA-256 in hex of account, operation, model with
    the places and versions that serve it, every choice of `resolved`, the `contents` (SHA-256) of its inputs
    in their order, who may load the pictures, and the seed where the order gave one."""
    told = {
        "version": VERSION,
        "account": account_id,
        "operation": order.operation,
        "model": model.name,
        "deployments": served_by(model),
        "choices": {name: value for name, value in resolved.items() if name not in NO_MATTER},
        "inputs": [
            {**how, "asset_id": content} for how, content in zip(resolved["inputs"], contents, strict=True)
        ],
        "visibility": visibility,
        "seed": order.seed,
    }
    return digest(_plain(told))


def _plain(value: Any) -> Any:
    """The same number in one spelling: 7.0 is 7."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
