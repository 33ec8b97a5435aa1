"""Which collection an address stands for.

| address | what |
| --- | --- |
| `./folder`, `/a/folder`, `file:///a/folder` | the files below a folder |
| `list.csv`, `list.jsonl` | a list of URLs, data URIs or base64 |
| `s3://bucket/prefix`, `gs://...`, `az://...` | a bucket, with that kind's credentials and endpoint |
| `cloudinary://KEY:SECRET@CLOUD` | a Cloudinary account |
| `redis://host:6379/0`, `rediss://`, `unix://` | the keys of a Redis or Valkey server |
| `store:NAME`, `store:NAME/prefix` | a store that is configured |
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from ferrotype.config import ConfigError, load
from ferrotype.net.http import Http
from ferrotype.storage.azure_settings import AzureSettings
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.collections.base import Collection
from ferrotype.storage.collections.cloudinary import CloudinaryCollection
from ferrotype.storage.collections.files import BucketCollection, FolderCollection
from ferrotype.storage.collections.redis import RedisCollection
from ferrotype.storage.collections.rows import Fields
from ferrotype.storage.collections.table import SUFFIXES, TableCollection
from ferrotype.storage.registry import DISK, StorePlan
from ferrotype.storage.settings import REDIS_SCHEMES
from ferrotype.storage.store_settings import DiskStoreSettings, GcsSettings, S3Settings, StoreSettings

if TYPE_CHECKING:
    from ferrotype.storage.object_store import ObjectStore

BUCKETS: Final[Mapping[str, tuple[type[StoreSettings], str]]] = {
    "s3": (S3Settings, "bucket"),
    "gs": (GcsSettings, "bucket"),
    "gcs": (GcsSettings, "bucket"),
    "az": (AzureSettings, "container"),
    "azure": (AzureSettings, "container"),
}
KNOWN: Final = "a folder, a .csv or .jsonl file, s3://, gs://, az://, cloudinary://, redis:// or store:NAME"


class Opener:
    """Makes collections of addresses. `plan` and `disk` are the stores that are configured, `ours` tells
    their keys that are copies of assets here."""

    def __init__(
        self,
        http: Http,
        max_bytes: int,
        plan: StorePlan,
        disk: Path,
        ours: Callable[[str, str], bool],
        environ: Mapping[str, str],
        toml: Mapping[str, Any],
    ) -> None:
        self._http = http
        self._max_bytes = max_bytes
        self._plan = plan
        self._disk = disk
        self._ours = ours
        self._environ = environ
        self._toml = toml

    def open(self, address: str, *, match: str = "*", fields: Fields | None = None) -> Collection:
        """The collection. `match` is for the keys of Redis. Raises ConfigError, InvalidField."""
        scheme, colon, rest = address.partition(":")
        known = fields or Fields()
        if scheme == "store" and colon:
            return self._store(*_split(rest))
        if colon and scheme in BUCKETS:
            parts = urlsplit(address)
            return self._bucket(scheme, parts.netloc, unquote(parts.path.lstrip("/")))
        if scheme == "cloudinary" and colon:
            return self._cloudinary(address)
        if colon and scheme in REDIS_SCHEMES:
            return RedisCollection(address, match, known, self._fetch, self._max_bytes)
        if "://" in address and scheme != "file":
            raise ConfigError(f"--from: nothing is known of {scheme}://; it is {KNOWN}.")
        path = Path(unquote(urlsplit(address).path) if scheme == "file" else address).expanduser()
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            return TableCollection(path, known, self._fetch)
        return FolderCollection(path)

    def _store(self, name: str, prefix: str) -> Collection:
        ours = partial(self._ours, name)
        if name == DISK:
            return FolderCollection(self._disk, prefix, ours)
        configured = self._plan.configured.get(name)
        if configured is None:
            known = ", ".join([*self._plan.configured, DISK])
            raise ConfigError(f"--from: there is no store {name!r} that is configured; there are {known}.")
        match configured.settings:
            case DiskStoreSettings(path=path) if path is not None:
                return FolderCollection(path.expanduser().absolute(), prefix, ours)
            case CloudinarySettings() as settings:
                folder = f"{settings.folder}/" if settings.folder else ""
                return CloudinaryCollection(
                    settings, folder + prefix, self._guarded, lambda key: ours(key.removeprefix(folder))
                )
            case settings:
                return BucketCollection(_bucket(settings, name), f"store:{name}/", prefix, ours)

    def _bucket(self, scheme: str, name: str, prefix: str) -> Collection:
        cls, place = BUCKETS[scheme]
        try:
            settings = load(cls, self._environ, self._toml).model_copy(update={place: name})
        except ValidationError as error:
            raise ConfigError(f"--from: {error.errors()[0]['msg']}.") from None
        at = f"@{urlsplit(endpoint).netloc}" if (endpoint := getattr(settings, "endpoint", None)) else ""
        store = _bucket(settings, scheme)
        prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        return BucketCollection(store, f"{scheme}://{name}{at}/", prefix)

    def _cloudinary(self, address: str) -> Collection:
        settings = load(CloudinarySettings, self._environ, self._toml)
        own = dict.fromkeys(("cloud_name", "api_key", "api_secret"))
        try:
            checked = CloudinarySettings(**{**settings.model_dump(), **own, "url": address})
        except ValidationError as error:
            raise ConfigError(f"--from: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
        return CloudinaryCollection(checked, "", self._guarded)

    def _fetch(self, url: str) -> AsyncIterator[bytes]:
        return self._guarded(url, False)

    async def _guarded(self, url: str, trusted: bool) -> AsyncIterator[bytes]:
        async with self._http.get(url, trusted=trusted, max_bytes=self._max_bytes) as incoming:
            async for data in incoming.chunks:
                yield data


def _bucket(settings: StoreSettings, name: str) -> ObjectStore:
    """obstore is loaded only where it is needed."""
    from ferrotype.storage.object_clients import azure, gcs, s3

    match settings:
        case S3Settings():
            return s3(settings, name)
        case GcsSettings():
            return gcs(settings, name)
        case AzureSettings():
            return azure(settings, name)
    raise ConfigError(f"--from: nothing can be imported from the store {name}.")


def _split(rest: str) -> tuple[str, str]:
    name, _, prefix = rest.partition("/")
    return name, prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
