"""A simulated Cog server: that of cog 0.23.1, with a predictor that needs no weights."""

from ferrotype.sim.cog.script import CogScript
from ferrotype.sim.cog.server import CogSim

__all__ = ["CogScript", "CogSim"]
