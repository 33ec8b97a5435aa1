"""obstore's clients, made of the settings of each kind of object store."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from ferrotype.config import ConfigError
from ferrotype.storage.azure_settings import AzureSettings, StorageAccount
from ferrotype.storage.object_errors import translated
from ferrotype.storage.object_store import Clients, ObjectStore
from ferrotype.storage.store_settings import GcsSettings, ObjectSettings, S3Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import AzureCredential, ClientConfig, GCSCredential, RetryConfig, S3Credential

    from ferrotype.storage.object_store import Client

CONNECT: Final = timedelta(seconds=5)
#: A service that sends no byte for so long has broken off.
SILENCE: Final = timedelta(seconds=20)
#: What a whole picture may take to be read, by whoever reads it.
READING: Final = timedelta(days=1)
#: The jobs retry, with patience; this is for a connection that was closed just now.
RETRY: Final[RetryConfig] = {
    "max_retries": 1,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {
        "init_backoff": timedelta(milliseconds=50),
        "max_backoff": timedelta(milliseconds=200),
        "base": 2,
    },
}


def s3(settings: S3Settings, name: str) -> ObjectStore:
    """The store of an S3 bucket. Raises ConfigError."""
    bucket = settings.bucket or ""
    path_style = settings.endpoint is not None if settings.path_style is None else settings.path_style
    endpoint = settings.endpoint
    if endpoint is not None and not path_style:
        endpoint = _with_host_prefix(endpoint, bucket)
    values: dict[str, Any] = {
        "region": settings.region,
        "endpoint": endpoint,
        "virtual_hosted_style_request": not path_style,
        # Not every service knows how to delete many at once.
        "disable_bulk_delete": True,
        "credential_provider": _s3_credentials(settings),
    }
    make = partial(S3Store, bucket, **_given(values))
    place = f"bucket {bucket} at {settings.endpoint or 'AWS'}"
    return _store(name, settings, make, place, settings.endpoint)


def gcs(settings: GcsSettings, name: str) -> ObjectStore:
    """The store of a bucket of Google Cloud Storage. Raises ConfigError."""
    values: dict[str, Any] = {
        "base_url": settings.endpoint,
        "service_account_key": settings.service_account_key,
        "application_credentials": None if settings.service_account_key else settings.credentials_file,
        "credential_provider": _no_gcs_credentials if settings.anonymous else None,
    }
    make = partial(GCSStore, settings.bucket, **_given(values))
    place = f"bucket {settings.bucket} at {settings.endpoint or 'Google Cloud Storage'}"
    return _store(name, settings, make, place, settings.endpoint)


def azure(settings: AzureSettings, name: str) -> ObjectStore:
    """The store of a container of Azure's blob storage. Raises ConfigError."""
    account = settings.storage_account
    if account is None:
        raise ConfigError(f"The store {name}: its storage account is missing.")
    values: dict[str, Any] = {
        "account_name": account.name,
        "endpoint": account.endpoint,
        # Of the environment's only what is documented here may count.
        "use_emulator": False,
        "credential_provider": _azure_credentials(account),
    }
    make = partial(AzureStore, settings.container, **_given(values))
    place = f"container {settings.container} of {account.name} at {account.endpoint}"
    return _store(name, settings, make, place, account.endpoint)


def _store(
    name: str,
    settings: ObjectSettings,
    make: Callable[..., Client],
    place: str,
    endpoint: str | None,
) -> ObjectStore:
    options: ClientConfig = {
        # Whoever writes http:// means it.
        "allow_http": (endpoint or "").startswith("http://"),
        "connect_timeout": CONNECT,
        "user_agent": "ferrotype",
    }
    if settings.ca_file is not None:
        options["root_certificate"] = _read(settings.ca_file, name)
    writing: ClientConfig = {**options, "timeout": timedelta(seconds=settings.timeout)}
    silence = min(SILENCE, timedelta(seconds=settings.timeout))
    reading: ClientConfig = {**options, "timeout": READING, "read_timeout": silence}
    try:
        clients = Clients(
            make(client_options=writing, retry_config=RETRY), make(client_options=reading, retry_config=RETRY)
        )
    except (BaseError, OSError, ValueError) as error:
        raise ConfigError(
            f"{translated(error, name).detail} Its settings are of no use to obstore."
        ) from None
    return ObjectStore(
        name,
        clients,
        place=place,
        public_base=settings.public_url,
        presigned_seconds=settings.presigned_seconds if settings.presigned else None,
    )


def _s3_credentials(settings: S3Settings) -> Callable[[], S3Credential] | None:
    """Keys that are given stand alone: none of the environment's goes with them."""
    if settings.access_key_id is None or settings.secret_access_key is None:
        return None
    credential: S3Credential = {
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "token": settings.session_token,
        "expires_at": None,
    }
    return lambda: credential


def _azure_credentials(account: StorageAccount) -> Callable[[], AzureCredential] | None:
    """As with S3: what is given stands alone."""
    credential: AzureCredential
    if account.key is not None:
        credential = {"access_key": account.key, "expires_at": None}
    elif account.sas is not None:
        credential = {"sas_token": account.sas, "expires_at": None}
    else:
        return None
    return lambda: credential


def _no_gcs_credentials() -> GCSCredential:
    return {"token": "", "expires_at": None}


def _with_host_prefix(endpoint: str, bucket: str) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}"))


def _read(path: str, name: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"The store {name}: ca_file {path} cannot be read ({error.strerror}).") from None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
