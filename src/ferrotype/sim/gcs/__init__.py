"""Google Cloud Storage, simulated: its XML interface, as far as Rust's object_store (obstore) speaks it."""

from ferrotype.sim.gcs.script import GcsScript
from ferrotype.sim.gcs.server import GcsSim

__all__ = ["GcsScript", "GcsSim"]
