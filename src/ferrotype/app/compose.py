"""The composition root: the only place that names concrete classes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from ferrotype.app.batches import batch_stories
from ferrotype.app.caches import Caches
from ferrotype.app.database import open_database
from ferrotype.app.graces import graces
from ferrotype.app.keys import own_secret
from ferrotype.app.lock import DataFolder
from ferrotype.app.origins import Origins, accepted_type
from ferrotype.app.settings import AppSettings
from ferrotype.app.web import build_context, build_front
from ferrotype.catalogue import load_catalogue
from ferrotype.db.database import Transaction
from ferrotype.domain.clock import SystemClock
from ferrotype.embedding import open_embedder
from ferrotype.engine.sqlite import SqliteEngine
from ferrotype.events.memory import MemoryEventBus
from ferrotype.http.access import Access
from ferrotype.http.session import Sessions
from ferrotype.http.streams.streams import Streams
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.provenance.c2pa import open_signing
from ferrotype.imaging.structure import is_whole_picture
from ferrotype.net.http import Http
from ferrotype.net.signing import UrlSigner
from ferrotype.net.telemetry import Telemetry
from ferrotype.providers.base import Hooked, Provider
from ferrotype.providers.registry import lacks, open_providers
from ferrotype.services.admit import Admit
from ferrotype.services.arrive import Arrive
from ferrotype.services.cancel import Cancel
from ferrotype.services.cdn import Uncache
from ferrotype.services.conclude import Conclude
from ferrotype.services.copies import Copies
from ferrotype.services.credits import Accounts
from ferrotype.services.deliver import Deliver
from ferrotype.services.drop import Drop
from ferrotype.services.durations import Durations
from ferrotype.services.embed import Embed
from ferrotype.services.enrich import Enrich
from ferrotype.services.envelopes import Envelopes
from ferrotype.services.estimates import Estimates
from ferrotype.services.followers import Followers
from ferrotype.services.ingest import Ingest
from ferrotype.services.inline import InlinePictures
from ferrotype.services.inputs import Inputs
from ferrotype.services.janitor import Janitor
from ferrotype.services.journal import Journal
from ferrotype.services.labels import Labels
from ferrotype.services.lifecycle import Forget, Lifecycle
from ferrotype.services.originals import Originals
from ferrotype.services.previews import Previews
from ferrotype.services.purge import Purge
from ferrotype.services.ready import Ready
from ferrotype.services.references import References
from ferrotype.services.requests import Requests
from ferrotype.services.retention import Retention
from ferrotype.services.reuse import Reuse
from ferrotype.services.routing import Routing
from ferrotype.services.run import Run
from ferrotype.services.similar import Similar
from ferrotype.services.standing import Standings
from ferrotype.services.store import StoreCopy, tidy_spool
from ferrotype.services.terms import Terms
from ferrotype.services.uploads import Uploads
from ferrotype.services.variants import Variants
from ferrotype.services.workflows import Workflows
from ferrotype.storage.arrivals import Arrivals
from ferrotype.storage.cdn import open_purger
from ferrotype.storage.registry import open_stores
from ferrotype.storage.spool import Spool
from ferrotype.workers.loop import Worker

log = structlog.get_logger(__name__)


class Ferrotype:
    """Everything of one process. `start` opens it, `drain` and `close` end it; meanwhile `front` serves."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.folder = DataFolder(settings.data_dir)
        self.catalogue = load_catalogue(settings.catalogue).served(partial(lacks, settings.connections))
        self.background: list[asyncio.Task[None]] = []
        self._started = False

    async def start(self) -> None:
        """Take the data folder, bring the database up to date, resume unfinished jobs.

        Raises ConfigError, with nothing left open.
        """
        self.folder.acquire()
        try:
            await self._open()
        except BaseException:
            self.folder.release()
            raise

    async def _open(self) -> None:
        settings, clock = self.settings, self.clock
        self.secret = own_secret(settings.data_dir)
        self.database = await open_database(settings)
        self.account_id = await Accounts(self.database, clock).open_default(settings.orders.initial_credits)
        self.engine = SqliteEngine(
            self.database,
            clock,
            settings.engine.classes,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            lease_seconds=settings.engine.lease_seconds,
            on_failed=self._on_failed,
        )
        self._build_storage()
        self._build_services()
        self._build_http()
        await tidy_spool(self.database, self.spool, recover=True)
        rescued = await self.engine.rescue(abandoned=True)
        if rescued:
            log.info("unfinished jobs of an earlier process are resumed", jobs=len(rescued))
        await self.embed.catch_up()
        self.background += [
            asyncio.create_task(self.worker.run(), name="worker"),
            asyncio.create_task(self.janitor.run(), name="janitor"),
            asyncio.create_task(self.caches.run(), name="variant store"),
        ]
        self._started = True

    def _build_storage(self) -> None:
        settings, storage = self.settings, self.settings.storage
        self.telemetry = Telemetry(self.clock)
        self.http = Http(settings.net)
        self.pool = ImagingPool(settings.imaging)
        self.background_pool = ImagingPool(settings.imaging, background=True)
        # Of their own, so that no crowd of readers makes an order or a placeholder wait.
        self.variant_pool = ImagingPool(settings.imaging)
        self.patient_pool = ImagingPool(settings.imaging, background=True)
        self.spool = Spool(
            settings.data_dir / "spool", storage.spool_max_bytes, min_free_bytes=storage.min_free_disk_bytes
        )
        self.stores = open_stores(
            settings.stores, storage, settings.data_dir / "assets", settings.delivery.disk_public_url
        )
        self.caches = Caches(storage, settings.data_dir, self.clock, self.telemetry)
        self.levels = self.caches.levels
        self.telemetry.gauge("spool_bytes", lambda: float(self.spool.usage.bytes))
        self.telemetry.gauge("jobs_running", lambda: float(self.worker.running))
        self.providers: dict[str, Provider] = open_providers(settings.connections, self.clock)
        self.arrivals = Arrivals(
            self.spool,
            Origins(self.providers, self.stores.by_name, self.http),
            accepted_type,
            is_whole=is_whole_picture,
            max_bytes=settings.net.max_fetch_bytes,
            on_complete=self._remember,
            max_body_bytes=self.levels.max_object_bytes,
        )

    def _build_services(self) -> None:
        settings, database, engine, clock = self.settings, self.database, self.engine, self.clock
        orders = settings.orders
        self.bus = MemoryEventBus()
        self.previews = Previews(self.variant_pool, settings.events, settings.imaging)
        self.journal = Journal(self.bus, clock, self.previews)
        self.embedder = open_embedder(settings.similar)
        terms = Terms(self.catalogue)
        self.similar = Similar(database, self.embedder, terms, clock, settings.similar)
        self.embed = Embed(database, engine, self.embedder, terms)
        self.journal.then("succeeded", self.embed.follow)
        self.originals = Originals(database, self.spool, self.stores.by_name)
        self.uploads = Uploads(
            database,
            engine,
            self.spool,
            self.pool,
            clock,
            settings.imaging,
            self._remember,
            orders.store_starts,
            settings.delivery.visibility,
            settings.retention,
        )
        references = References(database, self.uploads, self.http, settings.imaging.max_upload_bytes)
        copies = Copies(self.originals, self.pool)
        self.inputs = Inputs(database, self.originals, references, self.uploads, copies)
        self.standings = Standings(clock, settings.routing)
        self.routing = Routing(self.providers, self.catalogue, self.standings)
        self.requests = Requests(
            self.database, self.catalogue, self.inputs, settings.routing.call_timeout, self._hook_url
        )
        followers = Followers(
            engine,
            self.routing,
            self.journal,
            self.telemetry,
            clock,
            settings.reuse,
            settings.retention,
            settings.engine.max_starts,
        )
        ready = Ready(engine, self.journal, followers, clock, orders)
        self.conclude = Conclude(database, engine, self.journal, followers, clock)
        self.cancel = Cancel(database, engine, self.conclude, followers)
        self.ingest = Ingest(
            database,
            engine,
            self.spool,
            self.arrivals,
            self.journal,
            ready,
            clock,
            orders,
            settings.retention,
            self._remember,
        )
        self.arrive = Arrive(database, engine, self.arrivals, self.journal, followers, ready, clock)
        self.durations = Durations(engine, self.catalogue, clock, settings.engine.classes)
        self.envelopes = Envelopes(database, engine, self.journal, self.durations, clock)
        run = Run(
            database,
            engine,
            self.routing,
            self.requests,
            self.ingest,
            self.conclude,
            self.journal,
            followers,
            clock,
            orders,
        )
        self.admit = Admit(
            database,
            self.catalogue,
            self.routing,
            engine,
            run,
            self.inputs,
            self.journal,
            self.spool,
            followers,
            Reuse(settings.reuse),
            self.similar,
            self.durations,
            clock,
            orders,
            settings.delivery.visibility,
            settings.catalogue.default_model,
            settings.engine.max_starts,
        )
        self.batches = batch_stories(
            database,
            engine,
            self.admit,
            self.cancel,
            self.envelopes,
            self.journal,
            self.bus,
            self.durations,
            clock,
        )
        self.estimates = Estimates(database, self.admit, references, self.durations)
        self.cdn = open_purger(settings.cdn, settings.http.public_url, clock)
        uncache = Uncache(database, engine, self.levels, self.cdn, settings.cdn.hosts)
        self.lifecycle = Lifecycle(database, engine, self.levels, uncache, clock)
        self.purge = Purge(database, engine, self.spool, self.stores.by_name, self.levels, uncache, clock)
        self.worker = Worker(
            engine,
            database,
            {
                "generate": run,
                "batch": self.batches.fan_out,
                "arrive": self.arrive,
                "store": StoreCopy(
                    database,
                    engine,
                    self.spool,
                    self.originals,
                    self.stores,
                    self.journal,
                    clock,
                    self.secret,
                ),
                "enrich": Enrich(
                    database, engine, self.originals, self.background_pool, self.journal, settings.imaging
                ),
                "embed": self.embed,
                "embed_older": self.embed.older,
                "forget": Forget(database, engine, self.levels),
                "drop": Drop(database, engine, self.stores, clock, self._moved, graces(settings.stores)),
                "purge": self.purge,
                "cdn": uncache,
            },
            clock,
            concurrency=sum(settings.engine.classes.values()) + 16,
            lease_seconds=settings.engine.lease_seconds,
            retry_base=timedelta(seconds=settings.engine.retry_base_seconds),
            retry_cap=timedelta(seconds=settings.engine.retry_cap_seconds),
        )
        retention = Retention(database, self.lifecycle, self.purge, clock, settings.retention)
        self.janitor = Janitor(
            database, engine, clock, orders, settings.engine.keep_jobs_days, retention, self.spool
        )

    def _build_http(self) -> None:
        settings = self.settings
        delivery, offer = settings.delivery, settings.offer
        self.deliver = Deliver(self.database, self.levels, self.spool, self.stores.by_name, self.arrivals)
        self.labels = Labels(
            settings.provenance,
            lambda: open_signing(settings.provenance, settings.data_dir, self.clock.now()),
            self.database,
            self.originals,
            self.clock,
            settings.http.public_url,
        )
        self.variants = Variants(
            self.deliver,
            self.levels,
            self.variant_pool,
            self.patient_pool,
            settings.imaging,
            offer.marks,
            self.labels,
            self.telemetry,
            self.clock,
        )
        url_keys = [key.encode() for key in delivery.url_keys] or [self.secret]
        self.signer = UrlSigner(url_keys, self.clock)
        sessions = Sessions(
            self.secret, settings.http.api_key, self.clock, settings.http.session_hours * 3600
        )
        access = Access(settings.http, sessions)
        workflows = Workflows(self.deliver, keep=settings.provenance.keep_workflows)
        self.inline = InlinePictures(
            self.deliver, self.variants, workflows, settings.events.event_inline_bytes
        )
        self.streams = Streams(
            self.database,
            self.bus,
            self.envelopes,
            self.batches.envelopes,
            self.inline,
            access,
            self.telemetry,
            self.clock,
            self.account_id,
            settings.http,
            settings.events,
        )
        self.context = build_context(self, access, sessions)
        self.front = build_front(self, access, workflows)

    async def drain(self, seconds: float) -> None:
        """Let running jobs end within `seconds`, hand the others back, then end the waits and streams that
        are still open. May be called again with fewer seconds while it runs."""
        await self.worker.drain(seconds)
        self.bus.close()
        self.streams.stop()

    async def close(self) -> None:
        """Close everything; what still runs is resumed at the next start."""
        if not self._started:
            return
        self._started = False
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.arrivals.close()
        for provider in self.providers.values():
            await provider.close()
        for store in self.stores.by_name.values():
            await store.close()
        if self.cdn is not None:
            await self.cdn.close()
        await self.http.close()
        if self.embedder is not None:
            await self.embedder.close()
        await self.inline.close()
        await self.previews.close()
        await self.variants.close()
        pools = self.pool, self.background_pool, self.variant_pool, self.patient_pool
        await asyncio.gather(*(asyncio.to_thread(pool.close) for pool in pools))
        await self.caches.close()
        self.spool.close()
        await self.database.close()
        self.folder.release()

    def _moved(self, asset_id: str) -> None:
        self.deliver.moved(asset_id)

    def _remember(self, asset_id: str, body: bytes, content_type: str) -> None:
        self.levels.put(asset_id, "", body, content_type)

    def _hook_url(self, provider: str, attempt_id: str) -> str | None:
        """Where that provider may call back; None where nobody outside reaches this server."""
        base = self.settings.http.public_url
        if base is None or not self.settings.routing.provider_webhooks:
            return None
        if not isinstance(self.providers[provider], Hooked):
            return None
        return f"{base.rstrip('/')}/v1/hooks/{provider}/{attempt_id}"

    def _on_failed(
        self,
        tx: Transaction,
        job_id: str,
        kind: str,
        generation_id: str | None,
        payload: Mapping[str, Any],
        error: Mapping[str, Any],
    ) -> None:
        """A job that the engine gave up on: its story writes what that means."""
        if kind == "generate" and generation_id is not None:
            self.conclude.gave_up(tx, job_id, generation_id, payload, error)
        elif kind == "arrive":
            self.arrive.gave_up(tx, payload, error)
        elif kind == "batch":
            self.batches.cancel.gave_up(tx, payload["batch_id"])
        else:
            log.error("a job behind the answer was given up", kind=kind, job_id=job_id, error=dict(error))
