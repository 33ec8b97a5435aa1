"""RunPod serverless: jobs of queue-based endpoints, whatever their workers run.

`provider` tells the story; `options` are what a deployment says; `payload` makes the job's body; `watch`
follows it; `progress`, `endings` and `outputs` read what its status says.
"""

from typing import Final

from ferrotype.providers.connections import Kind
from ferrotype.providers.runpod.provider import RunPodProvider
from ferrotype.providers.runpod.settings import RunPodSettings

RUNPOD: Final = Kind(
    RunPodSettings,
    RunPodProvider.traits,
    lambda settings, name, clock: RunPodProvider(settings, clock, name=name),
)

__all__ = ["RUNPOD", "RunPodProvider", "RunPodSettings"]
