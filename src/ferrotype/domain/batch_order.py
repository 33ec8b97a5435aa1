"""The order of a batch as it travels on the wire, and how its items are put together."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

#: Fields that say the same thing in two ways: an item that says it overrides both of the defaults.
INSTEAD: Final = (frozenset({"aspect_ratio", "width", "height"}), frozenset({"image", "images"}))
#: Fields whose entries are merged one by one.
MERGED: Final = ("params", "metadata")
CUSTOM_ID: Final = "custom_id"


class BatchOrder(BaseModel):
    """`POST /v1/batches`. Items are checked one by one, so that each can be told what is wrong with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, min_length=1, max_length=200, description="For people.")
    defaults: dict[str, Any] = Field(default_factory=dict, description="An order's fields, for every item.")
    items: list[dict[str, Any]] = Field(
        min_length=1,
        description="Orders: what they say goes before the defaults. `custom_id` is your own name for one.",
    )
    expand: bool = Field(
        default=False,
        description="Take `{red|blue}` and `{1..5}` in prompts as alternatives: an item for each.",
    )
    matrix: dict[str, list[Any]] | None = Field(
        default=None, description="Values for fields: an item for each combination with each item."
    )
    partial: bool = Field(
        default=False, description="Order what can be ordered, even where other items are refused."
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Yours; returned as it was given.")


def merge(defaults: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """One item's order: its own fields over the shared ones."""
    kept = dict(defaults)
    for names in INSTEAD:
        if names & item.keys():
            kept = {name: value for name, value in kept.items() if name not in names}
    merged = kept | item
    for name in MERGED:
        shared, own = defaults.get(name), item.get(name)
        if isinstance(shared, dict) and isinstance(own, dict):
            merged[name] = shared | own
    return merged
