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
from ferrotype.http.settings import HttpSettings
from ferrotype.net.signing import UrlSigner
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.admit import Admit
from ferrotype.services.cancel import Cancel
from ferrotype.services.downloads import Downloads
from ferrotype.services.envelopes import Envelopes
from ferrotype.services.lifecycle import Lifecycle
from ferrotype.services.routing import Routing
from ferrotype.services.similar import Similar
from ferrotype.services.uploads import Uploads
from ferrotype.services.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Context:
    """One per server."""

    settings: HttpSettings
    catalogue: Catalogue
    routing: Routing
    database: Database
    bus: EventBus
    admit: Admit
    cancel: Cancel
    uploads: Uploads
    downloads: Downloads
    lifecycle: Lifecycle
    similar: Similar
    signer: UrlSigner
    vocabulary: Vocabulary
    envelopes: Envelopes
    waiting: Waiting
    telemetry: Telemetry
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
