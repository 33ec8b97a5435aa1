"""Which picture a query means, for this asset and this client."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ferrotype.domain.asset import Visibility
from ferrotype.domain.edition import CLEAN
from ferrotype.domain.states import AssetState
from ferrotype.domain.transform import Transform
from ferrotype.http import negotiation
from ferrotype.http.asgi import Headers
from ferrotype.http.picture_query import Freshness, Query
from ferrotype.services.deliver import Found, Opened
from ferrotype.services.labels import Labels
from ferrotype.services.variants import Variants
from ferrotype.services.workflows import Workflows


@dataclass(frozen=True, slots=True)
class Choice:
    """What one request is answered with. `name` is that of the edition, empty for the original as it is kept;
    `transform` is of variants only, and a `labelled` original is one for a download. `holds` tells whether an
    original holds a workflow, None while nobody knows. `opened` is what has been opened on the way here.
    `found` is None where the memory has it, for anybody to see."""

    name: str
    freshness: Freshness
    transform: Transform | None = None
    labelled: bool = False
    holds: bool | None = False
    found: Found | None = None
    opened: Opened | None = None

    @property
    def possible(self) -> tuple[Choice, ...]:
        """What it may turn out to be."""
        return (self,) if self.holds is not None else (self, replace(self, name=CLEAN))

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether whoever has the original's file may serve it."""
        return self.transform is None and not self.labelled and self.holds is False

    @property
    def exists(self) -> bool:
        """Whether it surely can be sent: it was opened, or it is an original with all its bytes."""
        ready = self.found is not None and self.found.asset.state is AssetState.READY
        return self.opened is not None or (self.transform is None and ready)

    @property
    def private(self) -> bool:
        """Whether nobody but its reader may keep it."""
        return self.found is not None and self.found.asset.visibility is Visibility.PRIVATE


async def choose(
    found: Found, query: Query, headers: Headers, variants: Variants, workflows: Workflows
) -> Choice:
    """What to send. A slow format that no cache has is asked for behind the answer, and a quick one is sent
    until it is there."""
    if query.transform.is_original:
        return await _original(found, query, variants.labels, workflows)

    def choice(transform: Transform, freshness: Freshness, opened: Opened | None = None) -> Choice:
        name = variants.labels.name(transform.canonical())
        fresh = _as_long_as_signed(freshness, variants.labels)
        return Choice(name, fresh, transform, found=found, opened=opened)

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


async def _original(found: Found, query: Query, labels: Labels, workflows: Workflows) -> Choice:
    name = labels.download(found.asset) if query.download is not None else None
    if name is not None:
        return Choice(name, _as_long_as_signed(query.freshness, labels), labelled=True, found=found)
    holds = await workflows.holds(found)
    return Choice(CLEAN if holds else "", query.freshness, holds=holds, found=found)


def _as_long_as_signed(freshness: Freshness, labels: Labels) -> Freshness:
    """Of what is signed: it comes to differ with the certificate, and goes unsigned only for a moment."""
    if labels.faulty:
        return Freshness.INTERIM
    return max(freshness, Freshness.CONFIGURED) if labels.configured else freshness
