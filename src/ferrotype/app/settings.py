"""Every area's settings, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from ferrotype.catalogue import CatalogueSettings
from ferrotype.config import ConfigError, Setting, Settings, load, read_toml, toml_file
from ferrotype.db.settings import DatabaseSettings
from ferrotype.embedding import SimilarSettings
from ferrotype.engine.settings import EngineSettings
from ferrotype.http.delivery_settings import DeliverySettings
from ferrotype.http.settings import HttpSettings
from ferrotype.imaging.offer import Offer, load_offer
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.net.settings import LogSettings, NetSettings
from ferrotype.providers.connections import Connection, load_connections
from ferrotype.providers.registry import KINDS
from ferrotype.services.event_settings import EventSettings
from ferrotype.services.settings import (
    DownloadSettings,
    RetentionSettings,
    ReuseSettings,
    RoutingSettings,
    ServiceSettings,
)
from ferrotype.storage.cdn_settings import CdnSettings
from ferrotype.storage.registry import STORE_KINDS, StorePlan, load_stores
from ferrotype.storage.settings import StorageSettings

AREAS: Final[tuple[type[Settings], ...]] = (
    HttpSettings,
    DeliverySettings,
    DownloadSettings,
    StorageSettings,
    *(kind.settings for kind in STORE_KINDS.values() if kind.plain),
    CdnSettings,
    DatabaseSettings,
    EngineSettings,
    CatalogueSettings,
    ServiceSettings,
    RetentionSettings,
    ReuseSettings,
    SimilarSettings,
    RoutingSettings,
    EventSettings,
    ImagingSettings,
    ProvenanceSettings,
    NetSettings,
    LogSettings,
    *(kind.settings for kind in KINDS.values()),
)
#: Tables of the configuration file that hold names of the operator's.
TABLES: Final = ("connections", "presets", "stores", "watermarks")


@dataclass(frozen=True)
class AppSettings:
    """One tree; each branch is declared where it is used."""

    http: HttpSettings
    delivery: DeliverySettings
    downloads: DownloadSettings
    storage: StorageSettings
    cdn: CdnSettings
    database: DatabaseSettings
    engine: EngineSettings
    catalogue: CatalogueSettings
    orders: ServiceSettings
    retention: RetentionSettings
    similar: SimilarSettings
    reuse: ReuseSettings
    routing: RoutingSettings
    events: EventSettings
    imaging: ImagingSettings
    provenance: ProvenanceSettings
    net: NetSettings
    log: LogSettings
    connections: Mapping[str, Connection]
    stores: StorePlan
    offer: Offer

    @property
    def data_dir(self) -> Path:
        """The folder that holds everything."""
        return Path(self.storage.data_dir).expanduser().resolve()


def load_settings(environ: Mapping[str, str] | None = None, **overrides: dict[str, Any]) -> AppSettings:
    """Read the environment and the configuration file. `overrides` come from the command line:
    area -> name -> value, and win.

    Raises ConfigError naming the variable or the key at fault.
    """
    toml = read_toml(environ)
    by_area = {cls.area: cls for cls in AREAS}
    for area in toml:
        if area not in by_area and area not in TABLES:
            raise ConfigError(f"[{area}] in the configuration file: there is no such area.")
    values: dict[str, Any] = {"connections": load_connections(KINDS, environ, toml)}
    for field in fields(AppSettings):
        cls = by_area.get(field.name)
        if cls is None:
            continue
        loaded = load(cls, environ, toml)
        given = {name: value for name, value in overrides.get(field.name, {}).items() if value is not None}
        if given:
            known = {item.name: item for item in cls.declared()}
            loaded = load(
                cls,
                {known[name].env: str(value) for name, value in given.items()},
                {cls.area: loaded.model_dump()},
            )
        values[field.name] = loaded
    values["stores"] = load_stores(values["storage"], environ, toml)
    file = toml_file(environ)
    values["offer"] = load_offer(toml, values["delivery"].bounds, file.parent if file else Path())
    return AppSettings(**values)


def declared_settings() -> list[Setting]:
    """Every setting of every area, for the documentation."""
    return [item for cls in AREAS for item in cls.declared()]
