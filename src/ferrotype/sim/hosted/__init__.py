"""What the simulators of hosted services share: script, journal, work, the server around their routes."""

from ferrotype.sim.hosted.journal import Entry, Journal
from ferrotype.sim.hosted.script import Fault, HostedScript
from ferrotype.sim.hosted.server import ENTRY, HostedSim
from ferrotype.sim.hosted.work import Work, Works

__all__ = ["ENTRY", "Entry", "Fault", "HostedScript", "HostedSim", "Journal", "Work", "Works"]
