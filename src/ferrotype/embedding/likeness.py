"""How similar two prompts are where it matters: as a whole, and in each place where they differ."""

from __future__ import annotations

from ferrotype.embedding.base import Embedder, similarity
from ferrotype.embedding.wording import excerpts


async def likeness(embedder: Embedder, one: str, other: str, whole: float) -> float:
    """The least of `whole`, which is the similarity of the two prompts, and the similarities of the places
    where they differ. Raises what `embed` raises."""
    places = excerpts(one, other)
    vectors = await embedder.embed([text for place in places for text in place]) if places else []
    return min([whole, *map(similarity, vectors[::2], vectors[1::2])])
