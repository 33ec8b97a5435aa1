"""The delivery application as the server puts it together, around parts of a test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.net.signing import UrlSigner
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver
from ferrotype.services.variants import Variants
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


class Pictures:
    """`app` and what it stands on."""

    def __init__(
        self,
        deliver: Deliver,
        levels: Levels,
        cache: MemoryCache,
        clock: Clock,
        telemetry: Telemetry,
        rules: Rules | None = None,
    ) -> None:
        rules = rules or Rules()
        self.pool = ImagingPool(rules.imaging)
        self.patient_pool = ImagingPool(rules.imaging, background=True)
        self.signer = UrlSigner([KEY], clock)
        self.variants = Variants(
            deliver, levels, self.pool, self.patient_pool, rules.imaging, {}, telemetry, clock
        )
        access = PictureAccess(Access(rules.http), self.signer, clock, rules.transforms)
        self.app = DeliveryApp(
            deliver,
            self.variants,
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
