"""What the routes work with: the stories, nothing concrete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from ferrotype.catalogue import Catalogue
from ferrotype.db.database import Database
from ferrotype.domain.transform_query import Vocabulary
from ferrotype.events.base import EventBus
from ferrotype.http.access import Access
from ferrotype.http.session import Guesses, Sessions
from ferrotype.http.settings import HttpSettings
from ferrotype.http.share_page import SharePage
from ferrotype.http.streams.streams import Streams
from ferrotype.net.signing import UrlSigner
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.admit import Admit
from ferrotype.services.admit_batch import AdmitBatch
from ferrotype.services.batch_again import BatchAgain
from ferrotype.services.batch_envelopes import BatchEnvelopes
from ferrotype.services.cancel import Cancel
from ferrotype.services.cancel_batch import CancelBatch
from ferrotype.services.collections import Collections
from ferrotype.services.downloads import Downloads
from ferrotype.services.envelopes import Envelopes
from ferrotype.services.estimates import Estimates
from ferrotype.services.gallery import Gallery
from ferrotype.services.lifecycle import Lifecycle
from ferrotype.services.routing import Routing
from ferrotype.services.shares import Shares
from ferrotype.services.similar import Similar
from ferrotype.services.status import Status
from ferrotype.services.uploads import Uploads
from ferrotype.services.waiting import Waiting
from ferrotype.services.waiting_for_batch import WaitingForBatch


@dataclass(frozen=True, slots=True)
class Context:
    """One per server."""

    settings: HttpSettings
    access: Access
    sessions: Sessions
    guesses: Guesses
    catalogue: Catalogue
    routing: Routing
    database: Database
    bus: EventBus
    streams: Streams
    admit: Admit
    cancel: Cancel
    admit_batch: AdmitBatch
    cancel_batch: CancelBatch
    batch_again: BatchAgain
    batches: BatchEnvelopes
    waiting_for_batch: WaitingForBatch
    uploads: Uploads
    downloads: Downloads
    lifecycle: Lifecycle
    gallery: Gallery
    collections: Collections
    shares: Shares
    share_page: SharePage
    similar: Similar
    signer: UrlSigner
    vocabulary: Vocabulary
    estimates: Estimates
    envelopes: Envelopes
    waiting: Waiting
    telemetry: Telemetry
    status: Status
    ready: Callable[[], Awaitable[dict[str, Any]]]
    account_id: str
    max_upload_bytes: int

    def base_url(self, request: Request) -> str:
        """What relative URLs are put behind, without a slash at its end."""
        if self.settings.public_url is not None:
            return self.settings.public_url.rstrip("/")
        return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def context_of(request: Request) -> Context:
    """The server's context; a FastAPI dependency."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context
