"""ComfyUI's settings."""

from __future__ import annotations

import re
from typing import ClassVar, Final, Self

from yarl import URL

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings

#: A password may contain commas.
_ADDRESS: Final = r"https?://(?:[^\s/@]*@)?[^\s,]+"
_SEPARATOR: Final = re.compile(r"\s*,\s*(?=https?://)")


class ComfyUISettings(ProviderSettings):
    """A ComfyUI server, on your own box or behind a proxy URL; or several that form a pool."""

    area: ClassVar[str] = "comfyui"

    url: str | None = setting(
        None,
        "Base address of the server, path included: `http://127.0.0.1:8188`. Several, with commas between,"
        " form a pool.",
        env="COMFYUI_URL",
        pattern=rf"^{_ADDRESS}(\s*,\s*{_ADDRESS})*$",
    )
    token: str | None = setting(None, "Sent as `Authorization: Bearer`.", env="COMFYUI_TOKEN", secret=True)
    user: str | None = setting(None, "User name for basic authentication.", env="COMFYUI_USER")
    password: str | None = setting(
        None, "Password for basic authentication.", env="COMFYUI_PASSWORD", secret=True
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="COMFYUI_CA_FILE")
    stall_timeout: float = setting(
        300.0,
        "Seconds without any sign of progress of a running prompt after which it counts as hung.",
        env="COMFYUI_STALL_TIMEOUT",
        gt=0,
    )
    request_timeout: float = setting(
        30.0,
        "Seconds without a byte of an HTTP answer after which the request is given up.",
        env="COMFYUI_REQUEST_TIMEOUT",
        gt=0,
    )
    workflows_dir: str | None = setting(
        None, "Folder of your own workflow templates (API format, `.json`).", env="COMFYUI_WORKFLOWS"
    )
    max_preview_bytes: int = setting(
        262_144, "A larger preview is dropped.", env="COMFYUI_MAX_PREVIEW_BYTES", ge=0
    )
    max_frame_bytes: int = setting(
        134_217_728,
        "A larger websocket message ends the connection; bounds pictures sent by SaveImageWebsocket.",
        env="COMFYUI_MAX_FRAME_BYTES",
        ge=65_536,
    )

    @property
    def configured(self) -> bool:
        return self.url is not None

    def hosts(self) -> list[Self]:
        """The settings of each address of the pool, in order; itself where there is only one.

        Credentials in an address are that host's own: the common ones are not used there.
        """
        addresses = _SEPARATOR.split(self.url or "")
        if len(addresses) == 1:
            return [self]
        return [self._host(address) for address in addresses]

    def _host(self, address: str) -> Self:
        try:
            own = URL(address).user is not None
        except ValueError:
            own = False  # the client says what is wrong with it
        common = {"token": None, "user": None, "password": None} if own else {}
        return self.model_copy(update={"url": address, **common})
