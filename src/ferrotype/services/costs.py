"""Dollars of an attempt: the provider's word where it gives one, the catalogue's price elsewhere."""

from __future__ import annotations

from ferrotype.domain.model import Deployment, Model
from ferrotype.providers.base import Finished


def usd_of(model: Model, deployment: Deployment, finished: Finished, made: int) -> float:
    """What an attempt that made `made` pictures cost: as told, else by its seconds, else by the picture."""
    if finished.usd is not None:
        return finished.usd
    if deployment.usd_per_second is not None and finished.seconds is not None:
        return deployment.usd_per_second * finished.seconds
    each = model.price.usd if deployment.usd is None else deployment.usd
    return each * made
