"""Settings of the store in Azure's blob storage; the variables are those of Azure's own command line."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import ClassVar, Final
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from ferrotype.config import setting
from ferrotype.storage.store_settings import ObjectSettings, web_address

#: What the portal's connection strings leave out, and those for the emulator (Azurite's documentation).
SUFFIX: Final = "core.windows.net"
EMULATOR: Final = {
    "AccountName": "devstoreaccount1",
    "AccountKey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "BlobEndpoint": "http://127.0.0.1:10000/devstoreaccount1",
}


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account. `endpoint` is the address of its blobs, without a slash at the end. Without `key`
    and `sas` the ways of Azure to an identity are tried."""

    name: str
    endpoint: str
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)


class AzureSettings(ObjectSettings):
    """Azure Blob Storage."""

    area: ClassVar[str] = "azure"
    prefix: ClassVar[str] = "FERROTYPE_AZURE_"

    container: str | None = setting(None, "Name of the container; it must be there.")
    account: str | None = setting(
        None, "Name of the storage account.", env="AZURE_STORAGE_ACCOUNT", pattern=r"^[a-z0-9]{3,24}$"
    )
    account_key: str | None = setting(
        None,
        "One of the account's two access keys. Without a key, a SAS and a connection string the ways of Azure"
        " are tried: a service principal's variables, a workload identity, the machine's managed identity.",
        env="AZURE_STORAGE_KEY",
        secret=True,
    )
    sas_token: str | None = setting(
        None,
        "A shared access signature that may read, create, write and delete blobs, in place of a key.",
        env="AZURE_STORAGE_SAS_TOKEN",
        secret=True,
    )
    connection_string: str | None = setting(
        None,
        "Account, key or SAS and endpoint in one, as the portal shows them; what is set by itself wins.",
        env="AZURE_STORAGE_CONNECTION_STRING",
        secret=True,
    )
    endpoint: str | None = setting(
        None,
        "Address of the account's blobs, for other clouds and for Azurite"
        " (`http://127.0.0.1:10000/devstoreaccount1`); `https://ACCOUNT.blob.core.windows.net` when not set.",
        secret=True,
    )

    @property
    def configured(self) -> bool:
        return self.container is not None

    @property
    def storage_account(self) -> StorageAccount | None:
        """What the fields and the connection string say together; None when no account is named."""
        told = _parts(self.connection_string or "")
        endpoint = self.endpoint or web_address(told.get("BlobEndpoint"))
        name = self.account or told.get("AccountName") or _named_by(endpoint)
        if name is None:
            return None
        if endpoint is None:
            scheme = told.get("DefaultEndpointsProtocol", "https")
            endpoint = f"{scheme}://{name}.blob.{told.get('EndpointSuffix', SUFFIX)}"
        key = self.account_key or (None if self.sas_token else told.get("AccountKey"))
        sas = None if key else self.sas_token or told.get("SharedAccessSignature")
        return StorageAccount(name, endpoint, key, sas.lstrip("?") if sas else None)

    @field_validator("account_key")
    @classmethod
    def _is_key(cls, value: str | None) -> str | None:
        if value is not None:
            _decode(value)
        return value

    @field_validator("connection_string")
    @classmethod
    def _is_connection_string(cls, value: str | None) -> str | None:
        if value is not None:
            told = _parts(value)
            if not {"AccountName", "BlobEndpoint"} & told.keys():
                raise ValueError(
                    "is written AccountName=...;AccountKey=...;EndpointSuffix=..., as the portal shows"
                )
            web_address(told.get("BlobEndpoint"))
            _decode(told.get("AccountKey", ""))
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> AzureSettings:
        if not self.configured:
            return self
        account = self.storage_account
        if account is None:
            raise ValueError("the storage account is missing: set account, or connection_string")
        if self.presigned and account.sas:
            raise ValueError("a SAS cannot sign URLs: presigned needs the account's key, or an identity")
        return self


def _parts(text: str) -> dict[str, str]:
    """A connection string's parts by name; one that means the emulator stands for the emulator's."""
    pairs = (part.partition("=") for part in text.strip().split(";"))
    told = {name.strip(): value.strip() for name, _, value in pairs if value.strip()}
    return EMULATOR if told.get("UseDevelopmentStorage", "").lower() == "true" else told


def _named_by(endpoint: str | None) -> str | None:
    """The account in an address: the host's first word; on a machine without a name, the path's."""
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    return parts.path.strip("/").split("/")[0] or (parts.hostname or "").split(".")[0] or None


def _decode(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except ValueError:
        raise ValueError("an account key is base64 text, with the = at its end") from None
