"""The IPTC DigitalSourceType of a picture that a model made, of nothing or of pictures."""

from __future__ import annotations

from typing import Final

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.generation import Generation
from ferrotype.domain.model import Model

TRAINED: Final = "trainedAlgorithmicMedia"
COMPOSITE: Final = "compositeWithTrainedAlgorithmicMedia"


async def source_type_of(database: Database, generation: Generation, model: Model) -> str:
    """That of the model, where it made the picture of words. What it made of pictures is a composite, unless
    models had made all of those."""
    images = generation.input.get("images") or []
    if not images or model.source_type not in (TRAINED, COMPOSITE):
        return model.source_type
    found = await database.read(lambda tx: assets.of_ids(tx, images))
    known = {asset.source_type for asset in found.values()}
    return TRAINED if known == {TRAINED} and len(found) == len(set(images)) else COMPOSITE
