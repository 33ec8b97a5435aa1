"""The web side of a process, put together: what the routes work with, and the door."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ferrotype
from ferrotype.app.picture_sources import picture_sources
from ferrotype.app.readiness import Readiness
from ferrotype.http.access import Access
from ferrotype.http.api import build_api
from ferrotype.http.context import Context
from ferrotype.http.delivery import DeliveryApp
from ferrotype.http.front import Front
from ferrotype.http.picture_access import PictureAccess
from ferrotype.http.picture_headers import Caching
from ferrotype.http.picture_query import Queries
from ferrotype.http.prepared import Prepared
from ferrotype.http.session import Guesses, Sessions
from ferrotype.http.share_page import SharePage
from ferrotype.http.studio import Studio
from ferrotype.services.collections import Collections
from ferrotype.services.downloads import Downloads
from ferrotype.services.gallery import Gallery
from ferrotype.services.shares import Shares
from ferrotype.services.status import Status
from ferrotype.services.waiting import Waiting
from ferrotype.services.workflows import Workflows

if TYPE_CHECKING:
    from ferrotype.app.compose import Ferrotype

#: The studio's pages, scripts and pictures, shipped with the package.
STUDIO_FILES: Final = Path(ferrotype.__file__).with_name("studio")


def build_context(app: Ferrotype, access: Access, sessions: Sessions) -> Context:
    """What the routes of the API are given."""
    settings = app.settings
    delivery, offer = settings.delivery, settings.offer
    return Context(
        settings=settings.http,
        access=access,
        sessions=sessions,
        guesses=Guesses(app.clock),
        catalogue=app.catalogue,
        routing=app.routing,
        database=app.database,
        bus=app.bus,
        streams=app.streams,
        admit=app.admit,
        cancel=app.cancel,
        admit_batch=app.batches.admit,
        cancel_batch=app.batches.cancel,
        batch_again=app.batches.again,
        batches=app.batches.envelopes,
        waiting_for_batch=app.batches.waiting,
        uploads=app.uploads,
        downloads=Downloads(
            app.database,
            app.deliver,
            app.spool,
            app.stores.by_name,
            app.labels,
            settings.downloads,
        ),
        lifecycle=app.lifecycle,
        gallery=Gallery(app.database),
        collections=Collections(app.database, app.clock),
        shares=Shares(app.database, app.clock),
        share_page=SharePage(
            app.signer, offer.vocabulary, app.clock, only_signed=delivery.transforms == "signed"
        ),
        similar=app.similar,
        signer=app.signer,
        vocabulary=offer.vocabulary,
        estimates=app.estimates,
        envelopes=app.envelopes,
        waiting=Waiting(app.envelopes),
        telemetry=app.telemetry,
        status=Status(
            app.database,
            app.engine,
            app.routing,
            app.catalogue,
            settings.engine.classes,
            app.caches.figures,
            lambda: app.spool.usage.bytes,
            app.clock,
        ),
        ready=Readiness(
            settings.data_dir,
            settings.storage.min_free_disk_bytes,
            app.database,
            app.worker,
            app.background,
            app.stores,
            app.labels,
            app.providers,
            app.clock,
        ),
        account_id=app.account_id,
        max_upload_bytes=settings.imaging.max_upload_bytes,
    )


@cache
def build_studio(sources: tuple[str, ...]) -> Studio:
    """The studio, with its files packed: they stay as they are while the process runs."""
    return Studio(STUDIO_FILES, picture_sources=sources)


def build_front(app: Ferrotype, access: Access, workflows: Workflows) -> Front:
    """The application that the server runs."""
    settings = app.settings
    delivery, offer = settings.delivery, settings.offer
    pictures = DeliveryApp(
        app.deliver,
        app.variants,
        workflows,
        app.levels,
        app.caches.memory,
        Prepared(
            app.caches.memory,
            Caching(delivery.negotiated_max_age, delivery.negotiated_stale, settings.cdn.header),
        ),
        Queries(offer.vocabulary),
        PictureAccess(access, app.signer, app.clock, delivery.transforms),
        app.telemetry,
    )
    return Front(
        pictures,
        build_studio(picture_sources(settings)),
        build_api(app.context),
        app.streams.websocket,
        access,
        settings.http,
        app.telemetry,
    )
