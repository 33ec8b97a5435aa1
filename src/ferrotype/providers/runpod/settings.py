"""RunPod's settings."""

from __future__ import annotations

from typing import ClassVar

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings


class RunPodSettings(ProviderSettings):
    """An account at RunPod; its endpoints are named by the deployments."""

    area: ClassVar[str] = "runpod"

    api_key: str | None = setting(None, "Your API key.", env="RUNPOD_API_KEY", secret=True)
    endpoint: str | None = setting(
        None,
        "Id of the serverless endpoint that deployments mean by the target `default`.",
        env="RUNPOD_ENDPOINT",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$",
    )
    base_url: str = setting(
        "https://api.runpod.ai/v2",
        "Address of the serverless API; the official SDK reads the same variable.",
        env="RUNPOD_ENDPOINT_BASE_URL",
        pattern=r"^https?://[^\s]+$",
    )
    workflows_dir: str | None = setting(
        None,
        "Folder of your own ComfyUI workflow templates, for endpoints that run worker-comfyui.",
        env="COMFYUI_WORKFLOWS",
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="RUNPOD_CA_FILE")

    @property
    def configured(self) -> bool:
        return self.api_key is not None
