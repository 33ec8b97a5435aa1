"""The durable stores: which there are, and which of them pictures are written to.

Each kind of object store has one store of its own name, configured by plain variables; more come from the
file as `[stores.NAME]`, with `kind = "s3"` and so on. The disk store `disk` is always there. Pictures are
written to those that FERROTYPE_STORES names, the first of which is the primary; the others are read from, as
long as they are configured: a copy may still lie there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from ferrotype.config import ConfigError, load, load_named
from ferrotype.storage.azure_settings import AzureSettings
from ferrotype.storage.base import Store
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.disk import DiskStore
from ferrotype.storage.keys import KeyTemplate
from ferrotype.storage.settings import StorageSettings
from ferrotype.storage.store_settings import (
    DiskStoreSettings,
    GcsSettings,
    S3Settings,
    StoreSettings,
)

#: The store in the data folder.
DISK: Final = "disk"

S = TypeVar("S", bound=StoreSettings)


@dataclass(frozen=True, slots=True)
class StoreKind(Generic[S]):
    """A kind of store: what it needs to know, how one is made of (settings, name, bytes to leave free), and
    what is wrong with a table that does not say enough. One that is `plain` can be configured by its own
    variables as well."""

    settings: type[S]
    make: Callable[[S, str, int], Store]
    lacks: str
    plain: bool = True


@dataclass(frozen=True, slots=True)
class ConfiguredStore:
    """One store that an operator has set up."""

    name: str
    kind: str
    settings: StoreSettings


@dataclass(frozen=True, slots=True)
class StorePlan:
    """Every store but `disk`, by name, and the names of those that are written to, the primary first."""

    configured: Mapping[str, ConfiguredStore]
    written: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stores:
    """The open stores: `by_name` has all that can be read from, `written` the names of those that pictures
    are written to, the primary first; `templates` how each of them makes its keys."""

    by_name: Mapping[str, Store]
    templates: Mapping[str, KeyTemplate]
    written: tuple[str, ...]

    @property
    def primary(self) -> Store:
        """A picture is stored when this one has it."""
        return self.by_name[self.written[0]]

    @property
    def mirrors(self) -> tuple[Store, ...]:
        """Those that get a copy as well."""
        return tuple(self.by_name[name] for name in self.written[1:])


# obstore is loaded only where an object store is configured: it costs every process memory and time.


def _s3(settings: S3Settings, name: str, _min_free: int) -> Store:
    from ferrotype.storage.object_clients import s3

    return s3(settings, name)


def _gcs(settings: GcsSettings, name: str, _min_free: int) -> Store:
    from ferrotype.storage.object_clients import gcs

    return gcs(settings, name)


def _azure(settings: AzureSettings, name: str, _min_free: int) -> Store:
    from ferrotype.storage.object_clients import azure

    return azure(settings, name)


def _cloudinary(settings: CloudinarySettings, name: str, _min_free: int) -> Store:
    from ferrotype.storage.cloudinary import CloudinaryStore

    return CloudinaryStore(settings, name=name)


def _disk(settings: DiskStoreSettings, name: str, min_free: int) -> Store:
    folder = (settings.path or Path()).expanduser().absolute()
    try:
        return DiskStore(folder, name=name, min_free_bytes=min_free, public_base=settings.public_url)
    except OSError as error:
        raise ConfigError(f"[stores.{name}] path: {folder} cannot be made ({error.strerror}).") from None


STORE_KINDS: Final[Mapping[str, StoreKind[Any]]] = {
    "s3": StoreKind(S3Settings, _s3, "its bucket is missing"),
    "gcs": StoreKind(GcsSettings, _gcs, "its bucket is missing"),
    "azure": StoreKind(AzureSettings, _azure, "its container is missing"),
    "cloudinary": StoreKind(CloudinarySettings, _cloudinary, "its cloud name, API key or secret is missing"),
    DISK: StoreKind(DiskStoreSettings, _disk, "its path is missing", plain=False),
}


def load_stores(
    storage: StorageSettings,
    environ: Mapping[str, str] | None = None,
    toml: Mapping[str, Any] | None = None,
) -> StorePlan:
    """The stores that are configured: those of the file first, then each kind's own.

    Without FERROTYPE_STORES all of them are written to, in this order, and `disk` when there are none.
    Raises ConfigError naming the variable or the key at fault.
    """
    env = os.environ if environ is None else environ
    found: dict[str, ConfiguredStore] = {}
    kinds = {name: kind.settings for name, kind in STORE_KINDS.items()}
    for name, (kind, settings) in load_named("stores", "kind", kinds, env, toml).items():
        assert isinstance(settings, StoreSettings)
        if not settings.configured:
            raise ConfigError(f"[stores.{name}] in the configuration file: {STORE_KINDS[kind].lacks}.")
        found[name] = ConfiguredStore(name, kind, settings)
    for name, each in STORE_KINDS.items():
        if each.plain:
            settings = load(each.settings, env, toml)
            if settings.configured:
                found[name] = ConfiguredStore(name, name, settings)
    return StorePlan(found, _written(storage.stores, found))


def _written(named: tuple[str, ...], configured: Mapping[str, ConfiguredStore]) -> tuple[str, ...]:
    if not named:
        return tuple(configured) or (DISK,)
    for name in named:
        if name != DISK and name not in configured:
            known = ", ".join([*configured, DISK])
            raise ConfigError(
                f"FERROTYPE_STORES: there is no store {name!r} that is configured; there are {known}."
            )
    if len(set(named)) < len(named):
        raise ConfigError("FERROTYPE_STORES: a store is named twice.")
    return named


def open_store(configured: ConfiguredStore, storage: StorageSettings) -> Store:
    """Makes one of them. Raises ConfigError like `open_stores`."""
    kind = STORE_KINDS[configured.kind]
    return kind.make(configured.settings, configured.name, storage.min_free_disk_bytes)


def open_stores(
    plan: StorePlan,
    storage: StorageSettings,
    folder: Path,
    disk_public_url: str | None = None,
) -> Stores:
    """Makes every store; nothing is asked of any yet. `folder` is that of the store `disk`, and
    `disk_public_url` where a web server serves it.

    Raises ConfigError for settings that no client can be made of.
    """
    disk = DiskStore(folder, min_free_bytes=storage.min_free_disk_bytes, public_base=disk_public_url)
    by_name: dict[str, Store] = {DISK: disk}
    templates = {DISK: KeyTemplate(storage.disk_key_template)}
    for name, each in plan.configured.items():
        by_name[name] = open_store(each, storage)
        templates[name] = KeyTemplate(each.settings.key_template)
    return Stores(by_name, templates, plan.written)
