"""The Admin API's list of resources.

Source: https://cloudinary.com/documentation/admin_api (get resources); pycloudinary 1.46, `api.resources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.sim.cloudinary.errors import Refusal
from ferrotype.sim.cloudinary.library import Asset, Library

USUAL: Final = 10
MOST: Final = 500
#: What a list leaves out of the details of a resource.
LEFT_OUT: Final = ("etag", "signature", "original_filename", "version_id", "tags")


@dataclass(frozen=True)
class Page:
    """A part of the list. `next_cursor` is None on the last one."""

    assets: list[Asset]
    next_cursor: str | None


def listing(
    library: Library,
    resource_type: str,
    kind: str | None,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> Page:
    """The page that is asked for, the newest first. Raises Refusal."""
    prefix, cursor = query.get("prefix", ""), query.get("next_cursor", "")
    if prefix and kind is None:
        raise Refusal("prefix is allowed only when type is specified", 400, dict(headers))
    try:
        most = int(query.get("max_results", USUAL))
    except ValueError:
        raise Refusal("Invalid value for parameter max_results", 400, dict(headers)) from None
    if not 1 <= most <= MOST:
        raise Refusal("max_results must be between 1 and 500", 400, dict(headers))
    found = [
        asset
        for name, asset in library.assets.items()
        if name[0] == resource_type and kind in (None, name[1]) and name[2].startswith(prefix)
    ]
    found.sort(key=lambda asset: (asset.created_at, asset.asset_id), reverse=True)
    first = 0
    if cursor:
        places = [number for number, asset in enumerate(found) if asset.asset_id == cursor]
        if not places:
            raise Refusal("Invalid value for parameter next_cursor", 400, dict(headers))
        first = places[0]
    following = found[first + most : first + most + 1]
    return Page(found[first : first + most], following[0].asset_id if following else None)


def listed(record: Mapping[str, Any], context: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
    """A resource as a list shows it."""
    told = {name: value for name, value in record.items() if name not in LEFT_OUT}
    if query.get("tags") in ("true", "1"):
        told["tags"] = record["tags"]
    if query.get("context") in ("true", "1") and context:
        told["context"] = {"custom": dict(context)}
    return told
