"""Where arriving bytes come from: a provider, or the store that has a picture which is not here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import OriginUnavailable
from ferrotype.imaging.sniff import sniff
from ferrotype.net.base import Incoming
from ferrotype.net.http import Http
from ferrotype.providers.base import Provider
from ferrotype.services.deliver import STORE
from ferrotype.storage.base import Store


@dataclass(frozen=True, slots=True)
class Origins:
    """Opens them."""

    providers: Mapping[str, Provider]
    stores: Mapping[str, Store]
    http: Http

    def __call__(self, origin: Origin) -> AbstractAsyncContextManager[Incoming]:
        """The bytes of an origin. Raises OriginUnavailable for one that is no longer configured; entering it
        what `Http.get` and `Store.open` raise."""
        if origin.provider.startswith(STORE):
            return self._stored(origin.provider.removeprefix(STORE), origin.url)
        provider = self.providers.get(origin.provider)
        if provider is None:
            raise OriginUnavailable(f"The provider {origin.provider} is no longer configured.")
        wanted = provider.fetch_request(origin)
        return self.http.get(wanted.url, headers=wanted.headers, trusted=wanted.trusted, tls=wanted.tls)

    @asynccontextmanager
    async def _stored(self, name: str, key: str) -> AsyncIterator[Incoming]:
        store = self.stores[name]
        yield Incoming(None, await store.size(key), store.open(key))


def accepted_type(head: bytes) -> str | None:
    """What an arriving picture's first bytes are, None for what is not accepted from users either."""
    kind = sniff(head)
    return kind.content_type if kind is not None and kind.loader is not None else None
