"""Which picture a query means, for this asset and this client."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.domain.asset import Visibility
from ferrotype.domain.states import AssetState
from ferrotype.domain.transform import Transform
from ferrotype.http import negotiation
from ferrotype.http.asgi import Headers
from ferrotype.http.picture_query import Freshness, Query
from ferrotype.services.deliver import Found, Opened
from ferrotype.services.variants import Variants


@dataclass(frozen=True, slots=True)
class Choice:
    """What one request is answered with. `canonical` names the transform, empty for the original; `opened` is
    what has been opened on the way here. `found` is None where the memory has it, for anybody to see."""

    canonical: str
    freshness: Freshness
    transform: Transform | None = None
    found: Found | None = None
    opened: Opened | None = None

    @property
    def exists(self) -> bool:
        """Whether it surely can be sent: it was opened, or it is an original with all its bytes."""
        ready = self.found is not None and self.found.asset.state is AssetState.READY
        return self.opened is not None or (self.transform is None and ready)

    @property
    def private(self) -> bool:
        """Whether nobody but its reader may keep it."""
        return self.found is not None and self.found.asset.visibility is Visibility.PRIVATE


async def choose(found: Found, query: Query, headers: Headers, variants: Variants) -> Choice:
    """What to send. A slow format that no cache has is asked for behind the answer, and a quick one is sent
    until it is there."""

    def choice(transform: Transform, freshness: Freshness, opened: Opened | None = None) -> Choice:
        wanted = None if transform.is_original else transform
        return Choice(transform.canonical(), freshness, wanted, found, opened)

    if query.transform.format != "auto":
        return choice(query.transform, query.freshness)
    asset = found.asset
    best, meanwhile = negotiation.formats(query.transform, asset, negotiation.accepts_of(headers))
    settled = Freshness.NEGOTIATED if negotiation.is_known(asset) else Freshness.INTERIM
    if meanwhile is None:
        return choice(best, settled)
    if not variants.is_possible(asset.id, best):
        return choice(meanwhile, settled)
    if opened := await variants.kept(asset.id, best):
        return choice(best, settled, opened)
    variants.make_later(found, best)
    return choice(meanwhile, Freshness.INTERIM)
