"""Replicate's HTTP API, simulated: predictions, files, deployments, streams and signed webhooks."""

from ferrotype.sim.replicate.script import ReplicateScript
from ferrotype.sim.replicate.server import ReplicateSim

__all__ = ["ReplicateScript", "ReplicateSim"]
