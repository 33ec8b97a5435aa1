"""The terms of an order: everything of it but its words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ferrotype.catalogue import Catalogue
from ferrotype.db import assets
from ferrotype.db.database import Transaction
from ferrotype.domain.generation import Generation
from ferrotype.domain.model import Model

#: What of a generation's `input` is no term. Pictures are compared by their content; `inputs` follows from
#: them and the model, the aspect ratio is a size by then.
WORDS: Final = frozenset({"prompt", "seed", "aspect_ratio", "mode", "images", "mask", "inputs"})


class Terms:
    """Makes a hash of them, equal for orders that differ in nothing but their words. The places and versions
    that serve the model belong to it, as the catalogue has them now."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, tx: Transaction, operation: str, model: str, parameters: Mapping[str, Any]) -> str:
        """SHA-256 in hex; `parameters` is a generation's `input`."""
        images, mask = list(parameters.get("images") or ()), parameters.get("mask")
        known = self._catalogue.models.get(model)
        facts = {
            "operation": operation,
            "model": model,
            "deployments": served_by(known) if known else [],
            "rest": {name: value for name, value in parameters.items() if name not in WORDS},
            "images": contents(tx, images),
            "mask": contents(tx, [mask] if mask else []),
        }
        return digest(facts)

    def of(self, tx: Transaction, generation: Generation) -> str:
        """Those of a generation."""
        return self(tx, generation.operation, generation.model, generation.input)


def digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 in hex, equal for equal facts."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def served_by(model: Model) -> list[dict[str, Any]]:
    """The places that serve a model, with their versions, as JSON."""
    return [each.model_dump(mode="json") for each in model.deployments]


def contents(tx: Transaction, ids: Sequence[str]) -> list[str]:
    """The hashes of pictures; the id of one whose hash is not known."""
    found = assets.of_ids(tx, ids) if ids else {}
    return [(found[each].sha256 if each in found else None) or each for each in ids]
