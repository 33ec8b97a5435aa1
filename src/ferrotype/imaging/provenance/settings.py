"""Settings of what is said in pictures about where they come from."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from ferrotype.config import Settings, setting


class ProvenanceSettings(Settings):
    """C2PA manifests, and prompts and workflows in the metadata."""

    area: ClassVar[str] = "provenance"

    c2pa: Literal["off", "development", "certificate"] = setting(
        "off",
        "C2PA manifests: `off`, signed by a `development` certificate of the server's own, which nobody else"
        " trusts, or by a `certificate` of yours. Needs the extra `c2pa`.",
    )
    c2pa_certificate: str | None = setting(
        None, "PEM file with the signing certificate first and the chain behind it, without the root."
    )
    c2pa_key: str | None = setting(None, "PEM file with the private key of the certificate, unencrypted.")
    c2pa_timestamp_url: str | None = setting(
        None,
        "Time-stamp authority (RFC 3161) that is asked for every manifest; without one a manifest is good for"
        " as long as its certificate.",
    )
    c2pa_max_past_bytes: int = setting(
        65_536,
        "Largest manifest of the original, or of the picture that was edited, that comes along whole into"
        " every variant, in bytes; a larger one is referred to.",
        ge=0,
    )
    keep_workflows: bool = setting(
        False,
        "Deliver originals with the workflows and prompts that ComfyUI and its like write into their files,"
        " to everybody who loads them; without this they are taken out.",
    )
    embed_prompts: bool = setting(
        False, "Write the prompt into the metadata of variants and downloads, where anybody can read it."
    )

    @model_validator(mode="after")
    def _complete(self) -> ProvenanceSettings:
        if self.c2pa == "certificate" and not (self.c2pa_certificate and self.c2pa_key):
            raise ValueError(
                "FERROTYPE_C2PA=certificate needs FERROTYPE_C2PA_CERTIFICATE and FERROTYPE_C2PA_KEY"
            )
        return self
