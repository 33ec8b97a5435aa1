"""Where else originals may come from: for the studio's content security policy."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from ferrotype.app.settings import AppSettings
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.registry import ConfiguredStore
from ferrotype.storage.store_settings import DiskStoreSettings, ObjectSettings

#: Where only the URL itself tells the host.
ANY: Final = "https:"


def picture_sources(settings: AppSettings) -> tuple[str, ...]:
    """CSP sources of the stores that serve pictures themselves, each once: the origin of a public URL, and
    any host with https where a store signs its URLs."""
    found = [_origin(settings.delivery.disk_public_url)]
    found += [_source(each) for each in settings.stores.configured.values()]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _source(store: ConfiguredStore) -> str | None:
    match store.settings:
        case DiskStoreSettings(public_url=url):
            return _origin(url)
        case ObjectSettings(public_url=str() as url):
            return _origin(url)
        case ObjectSettings(presigned=True, endpoint=endpoint):
            return _origin(endpoint) or ANY
        case CloudinarySettings():
            return ANY
    return None


def _origin(url: str | None) -> str | None:
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
