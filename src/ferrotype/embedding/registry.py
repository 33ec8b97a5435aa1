"""The embedder of this server: there is one, and it comes with the extra `[local]`."""

from __future__ import annotations

from ferrotype.embedding.base import Embedder
from ferrotype.embedding.settings import SimilarSettings
from ferrotype.embedding.weights import lacking


def open_embedder(settings: SimilarSettings) -> Embedder | None:
    """The embedder, which loads at its first use; None where it is switched off or `lacking` something."""
    if not settings.similar or lacking() is not None:
        return None
    from ferrotype.embedding.minilm import MiniLM  # only here: numpy is part of the extra

    return MiniLM(settings.similar_threads)
