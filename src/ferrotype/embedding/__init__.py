"""Sentences as vectors: what two prompts have in common, as a number."""

from ferrotype.embedding.base import Embedder, Vector, similarity
from ferrotype.embedding.likeness import likeness
from ferrotype.embedding.registry import open_embedder
from ferrotype.embedding.settings import SimilarSettings
from ferrotype.embedding.weights import INSTALL, lacking
from ferrotype.embedding.wording import conflict

__all__ = [
    "INSTALL",
    "Embedder",
    "SimilarSettings",
    "Vector",
    "conflict",
    "lacking",
    "likeness",
    "open_embedder",
    "similarity",
]
