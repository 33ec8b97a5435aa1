"""fal.ai, simulated: queue, synchronous calls, storage, webhooks."""

from ferrotype.sim.fal.apps import APPS
from ferrotype.sim.fal.script import FalScript
from ferrotype.sim.fal.server import FalSim
from ferrotype.sim.fal.signing import Signer

__all__ = ["APPS", "FalScript", "FalSim", "Signer"]
