"""Replicate: predictions by official model, by version or by deployment, followed by looks or by webhooks.

Written from Replicate's HTTP reference (its OpenAPI document 1.0.0-a1), its pages on predictions, webhooks
and error codes, and its Python client 1.0.7.
"""

from typing import Final

from ferrotype.providers.connections import Kind
from ferrotype.providers.replicate.provider import ReplicateProvider
from ferrotype.providers.replicate.settings import ReplicateSettings

REPLICATE: Final = Kind(
    ReplicateSettings,
    ReplicateProvider.traits,
    lambda settings, name, clock: ReplicateProvider(settings, name, clock),
)

__all__ = ["REPLICATE", "ReplicateProvider", "ReplicateSettings"]
