"""ComfyUI 0.3.64 as it was recorded on the wire, without the models: for tests, demos and benchmarks."""

from __future__ import annotations

from ferrotype.sim.options import Failure

from .journal import Entry, Journal, Mark
from .script import NodeError, Older, Script
from .server import ComfySim

__all__ = ["ComfySim", "Entry", "Failure", "Journal", "Mark", "NodeError", "Older", "Script"]
