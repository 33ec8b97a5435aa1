"""Settings of the stories: how much one order may ask and how long things may take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from ferrotype.config import Settings, setting

#: Looks at one picture for its placeholder that are tried: a process that is killed meanwhile counts as one.
ENRICH_STARTS: Final = 20


class ServiceSettings(Settings):
    """Bounds and times of orders."""

    area: ClassVar[str] = "orders"

    max_prompt: int = setting(
        10_000, "Characters of a prompt or a negative prompt, whatever the model takes.", ge=1
    )
    max_num_images: int = setting(10, "Pictures of one generation.", ge=1, le=10)
    max_input_images: int = setting(16, "Input pictures of one generation.", ge=0)
    max_params: int = setting(64, "Entries of `params`.", ge=0)
    max_batch_items: int = setting(10, "Items of a batch that is answered in the reply.", ge=1)
    max_async_items: int = setting(
        10_000,
        "Items of a batch that comes as JSON lines, or with `Prefer: respond-async`.",
        ge=1,
        le=100_000,
    )
    max_metadata_bytes: int = setting(16_384, "Bytes of `metadata` as JSON.", ge=2)
    idempotency_hours: float = setting(24.0, "How long an idempotency key is remembered.", gt=0)
    generation_timeout: float = setting(
        3_600.0, "Seconds after its acceptance in which a generation is still given to providers.", gt=0
    )
    max_attempts: int = setting(
        3, "Calls to providers for one job, when earlier ones surely made nothing.", ge=1
    )
    cancel_grace: float = setting(60.0, "Seconds that a provider has to stop a canceled call.", gt=0)
    arrive_starts: int = setting(60, "Fetches of one picture's bytes before it counts as lost.", ge=1)
    store_starts: int = setting(1_000, "Copies to the store that are tried before a person must look.", ge=1)
    initial_credits: int = setting(1_000_000, "Granted once to the default account.", ge=0)


class DownloadSettings(Settings):
    """Bounds of the archives that pictures are downloaded in."""

    area: ClassVar[str] = "downloads"

    max_download_assets: int = setting(1_000, "Pictures of one archive.", ge=1, le=10_000)
    max_download_bytes: int = setting(
        10_737_418_240, "Bytes of the pictures of one archive; it is streamed, and never on this disk.", ge=1
    )


class RetentionSettings(Settings):
    """How long pictures stay."""

    area: ClassVar[str] = "retention"

    keep_days: float | None = setting(
        None, "Days that generated pictures stay before they are deleted; for good when not set.", gt=0
    )
    keep_uploads_days: float | None = setting(
        None, "Days that uploaded pictures stay before they are deleted; for good when not set.", gt=0
    )
    keep_tagged_days: dict[str, float] = setting(
        {},
        "Days that pictures of orders with a tag stay, whatever `keep_days` says: `draft=7,preview=1`. Of"
        " several tags the shortest time counts.",
    )
    restore_days: float = setting(
        30.0, "Days in which a deleted picture can be restored; then its bytes are removed everywhere.", ge=0
    )

    def until(self, created_at: datetime, tags: Iterable[str] | None) -> datetime | None:
        """When a picture is deleted, None for never; `tags` are those of its order, None for an upload."""
        if tags is None:
            days = self.keep_uploads_days
        else:
            tagged = [self.keep_tagged_days[tag] for tag in tags if tag in self.keep_tagged_days]
            days = min(tagged) if tagged else self.keep_days
        return None if days is None else created_at + timedelta(days=days)


class ReuseSettings(Settings):
    """When pictures that exist already answer an order."""

    area: ClassVar[str] = "reuse"

    reuse: Literal["auto", "asked", "off"] = setting(
        "auto",
        "`auto`: orders with input pictures or a seed, and those that ask for it; `asked`: only those;"
        " `off`: never.",
    )
    reuse_seconds: float = setting(
        86_400.0, "How long finished pictures answer identical orders with a seed, or that allow it.", ge=0
    )
    reuse_edit_seconds: float = setting(
        300.0, "How long they answer identical orders with input pictures that say nothing of reuse.", ge=0
    )
    reuse_price: float = setting(
        0.0, "What a reuse costs, as a share of the model's price, rounded up to whole credits.", ge=0, le=1
    )

    def price(self, credits_each: int) -> int:
        """Whole credits for a picture that was not made anew."""
        return math.ceil(credits_each * self.reuse_price)


class RoutingSettings(Settings):
    """When a deployment is left alone."""

    area: ClassVar[str] = "routing"

    breaker_window: int = setting(10, "Last calls of a deployment that its breaker looks at.", ge=1)
    breaker_faults: int = setting(
        5, "So many of them that were the deployment's fault open its breaker.", ge=1
    )
    breaker_seconds: float = setting(
        15.0, "How long an open breaker lets nothing through; twice as long each time a probe fails.", gt=0
    )
    breaker_max_seconds: float = setting(300.0, "Longest time that it lets nothing through.", gt=0)
    call_timeout: float = setting(
        600.0, "Seconds that one call to a provider may take, where the model does not say.", gt=0
    )
    provider_webhooks: bool = setting(
        True,
        "Whether providers are told to call back, which needs FERROTYPE_PUBLIC_URL.",
    )
