"""RunPod serverless, simulated: queue-based endpoints with the workers that Ferrotype knows."""

from ferrotype.sim.runpod.server import RunPodSim
from ferrotype.sim.runpod.workers import ENDPOINTS

__all__ = ["ENDPOINTS", "RunPodSim"]
