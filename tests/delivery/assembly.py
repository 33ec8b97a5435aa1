"""The delivery application as the server puts it together, around parts of a test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.domain.transform_query import Vocabulary
from ferrotype.http.access import Access
from ferrotype.http.delivery import DeliveryApp
from ferrotype.http.picture_access import PictureAccess
from ferrotype.http.picture_headers import Caching
from ferrotype.http.picture_query import Queries
from ferrotype.http.prepared import Prepared
from ferrotype.http.settings import HttpSettings
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.provenance.c2pa import Signing
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.net.signing import UrlSigner
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver
from ferrotype.services.labels import Labels
from ferrotype.services.originals import Originals
from ferrotype.services.variants import Variants
from ferrotype.services.workflows import Workflows
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache

KEY = b"a key of at least sixteen bytes"


@dataclass(frozen=True)
class Rules:
    """What an operator may set."""

    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    imaging: ImagingSettings = field(default_factory=lambda: ImagingSettings(imaging_threads=2))
    http: HttpSettings = field(default_factory=HttpSettings)
    transforms: Literal["any", "signed"] = "any"
    caching: Caching = field(default_factory=Caching)
    provenance: ProvenanceSettings = field(default_factory=ProvenanceSettings)
    open_signing: Callable[[], Signing | None] = lambda: None


class Pictures:
    """`app` and what it stands on."""

    def __init__(
        self,
        deliver: Deliver,
        levels: Levels,
        cache: MemoryCache,
        clock: Clock,
        telemetry: Telemetry,
        database: Database,
        originals: Originals,
        rules: Rules | None = None,
    ) -> None:
        rules = rules or Rules()
        self.labels = Labels(rules.provenance, rules.open_signing, database, originals, clock)
        self.pool = ImagingPool(rules.imaging)
        self.patient_pool = ImagingPool(rules.imaging, background=True)
        self.signer = UrlSigner([KEY], clock)
        self.variants = Variants(
            deliver, levels, self.pool, self.patient_pool, rules.imaging, {}, self.labels, telemetry, clock
        )
        access = PictureAccess(Access(rules.http), self.signer, clock, rules.transforms)
        self.app = DeliveryApp(
            deliver,
            self.variants,
            Workflows(deliver, keep=rules.provenance.keep_workflows),
            levels,
            cache,
            Prepared(cache, rules.caching),
            Queries(rules.vocabulary),
            access,
            telemetry,
        )

    async def close(self) -> None:
        await self.variants.close()
        self.pool.close()
        self.patient_pool.close()
