"""The story of an order: from what a caller asks to a generation with its money held and its jobs queued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from ferrotype.catalogue import Catalogue
from ferrotype.db import generations, ledger
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation
from ferrotype.domain.ledger import EntryKind
from ferrotype.domain.model import Model
from ferrotype.domain.order import Order
from ferrotype.domain.problems import IdempotencyConflict
from ferrotype.domain.states import GenerationState
from ferrotype.engine.base import Engine, Lease, Priority
from ferrotype.services import credits
from ferrotype.services.check import check_bounds, check_deployments, fits_inputs, resolve, size_like
from ferrotype.services.durations import Durations
from ferrotype.services.followers import Followers, calls
from ferrotype.services.inputs import Inputs
from ferrotype.services.journal import Journal
from ferrotype.services.reuse import Leader, Reuse, reuse_key, standing
from ferrotype.services.routing import Routing
from ferrotype.services.run import Run
from ferrotype.services.settings import ServiceSettings
from ferrotype.services.similar import Neighbour, Similar
from ferrotype.services.terms import contents
from ferrotype.storage.spool import Spool

#: Room in the spool that an order needs per picture, in bytes: what a provider made must find a place.
EXPECTED_BYTES: Final = 8 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Admitted:
    """The generation that answers the order.

    `fresh` is the generation as it was made, with the queue position of its first job; None when it may have
    ended already. `replayed` says that an earlier order with the same key made it.
    """

    generation_id: str
    fresh: tuple[Generation, int | None] | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order with every choice made and its inputs kept, before any money is touched."""

    order: Order
    generation: Generation
    model: Model
    window: timedelta | None = None
    neighbour: Neighbour | None = None
    priority: int = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class Admit:
    """Accepts orders."""

    database: Database
    catalogue: Catalogue
    routing: Routing
    engine: Engine
    run: Run
    inputs: Inputs
    journal: Journal
    spool: Spool
    followers: Followers
    reuse: Reuse
    similar: Similar
    durations: Durations
    clock: Clock
    settings: ServiceSettings
    default_visibility: Visibility
    default_model: str | None = None
    max_starts: int = 5

    async def __call__(
        self, order: Order, *, account_id: str, generation_id: str, idempotency_key: str | None = None
    ) -> Admitted:
        """Make `generation_id`, or find the generation that the same key made before.

        Raises RequestProblem or ServerProblem subclasses; then nothing was written.
        """
        body_hash = hash_of(order.model_dump())
        if idempotency_key is not None:
            known = await self.database.read(
                lambda tx: self.known(tx, account_id, idempotency_key, body_hash)
            )
            if known is not None:
                return Admitted(known, replayed=True)
        model, resolved = self.check(order)
        self.spool.check_room(order.num_images * EXPECTED_BYTES)
        if order.references:  # inputs are kept before the hold is taken: not for an order that it will refuse
            price = model.price.credits * order.num_images
            await self.database.read(lambda tx: ledger.balance(tx, account_id).after(EntryKind.HOLD, price))
        prepared = await self.prepare(order, model, resolved, account_id, generation_id)

        def story(tx: Transaction, leases: list[Lease]) -> Admitted:
            if idempotency_key is not None:
                known = self.known(tx, account_id, idempotency_key, body_hash)
                if known is not None:
                    return Admitted(known, replayed=True)
            admitted = self.place(tx, prepared, leases)
            if idempotency_key is not None:
                at = prepared.generation.created_at
                generations.add_key(
                    tx, account_id, idempotency_key, body_hash, at, generation_id=generation_id
                )
            return admitted

        return await self.write(story)

    def check(self, order: Order) -> tuple[Model, dict[str, Any]]:
        """The model that serves an order, and the order with its choices made, as far as they need no inputs.

        Pure. Raises InvalidField, UnsupportedByModel, UnknownModel, NoDeployment or NotEnabled.
        """
        check_bounds(order, self.settings)
        if order.reuse == "similar":
            self.similar.check()
        model = self.catalogue.choose(
            order.model,
            order.operation,
            self.routing.configured,
            self.default_model,
            lambda can: fits_inputs(order, can),
        )
        resolved = resolve(order, model, self.catalogue)
        check_deployments(model, resolved, self.routing.configured)
        return model, resolved

    async def prepare(
        self,
        order: Order,
        model: Model,
        resolved: dict[str, Any],
        account_id: str,
        generation_id: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        batch: tuple[str, int] | None = None,
        priority: int = Priority.INTERACTIVE,
    ) -> Prepared:
        """Keep an order's inputs, unless `inputs` tells of them already, and find out what would answer it;
        `batch` is its id and the order's index.

        Raises InvalidField, UnsupportedMedia or TooLarge for an input, Overloaded.
        """
        if inputs is None:
            inputs = await self.inputs.collect(order, account_id, model.capabilities.inputs)
        resolved = {**resolved, **inputs}
        if resolved["width"] is None:
            first = resolved["inputs"][0]
            size = size_like(first["width"], first["height"], model.capabilities)
            resolved |= {"width": size[0], "height": size[1], "size_from_input": True}
        generation = self._generation(generation_id, account_id, order, model, resolved, batch)
        if self.reuse.settings.reuse != "off":
            ids = [how["asset_id"] for how in resolved["inputs"]]
            hashes = await self.database.read(lambda tx: contents(tx, ids)) if ids else []
            key = reuse_key(order, account_id, model, resolved, hashes, generation.visibility)
            generation = replace(generation, reuse_key=key)
        window = self.reuse.window(order)
        similar = window is not None and order.reuse == "similar"
        neighbour = await self._neighbour(generation) if similar else None
        return Prepared(order, generation, model, window, neighbour, priority)

    def place(self, tx: Transaction, prepared: Prepared, leases: list[Lease]) -> Admitted:
        """Hold the price and write the generation with its jobs; jobs that begin at once are added to
        `leases`. Raises InsufficientCredits."""
        generation = prepared.generation
        leader = self._leader(tx, generation, prepared.window, prepared.neighbour)
        if leader is not None and leader.finished:
            self.followers.answered(tx, generation, leader)
            return Admitted(generation.id)
        if leader is not None:
            return Admitted(generation.id, (self.followers.joined(tx, generation, leader), None))
        generations.add(tx, generation)
        credits.hold(tx, generation, generation.created_at)
        return Admitted(generation.id, self._enqueue(tx, prepared, leases))

    async def write(self, story: Callable[[Transaction, list[Lease]], T]) -> T:
        """Run a story that places orders. When it is rolled back, jobs that began with it did not."""
        leases: list[Lease] = []
        try:
            return await self.database.write(lambda tx: story(tx, leases))
        except Exception:
            self.run.undo(leases)
            raise

    def known(self, tx: Transaction, account_id: str, key: str, body_hash: str) -> str | None:
        """What the same key made of the same body before, a generation or a batch. Raises
        IdempotencyConflict for another body."""
        found = generations.find_key(tx, account_id, key)
        if found is None:
            return None
        if found.created_at < self.clock.now() - timedelta(hours=self.settings.idempotency_hours):
            return None
        if found.body_hash != body_hash:
            raise IdempotencyConflict(
                "This idempotency key came with another body before.", field="Idempotency-Key"
            )
        return found.generation_id or found.batch_id

    def _generation(
        self,
        generation_id: str,
        account_id: str,
        order: Order,
        model: Model,
        resolved: dict[str, Any],
        batch: tuple[str, int] | None,
    ) -> Generation:
        return Generation(
            id=generation_id,
            account_id=account_id,
            status=GenerationState.QUEUED,
            operation=order.operation,
            model=model.name,
            class_=model.class_,
            input=resolved,
            num_images=order.num_images,
            credits_each=model.price.credits,
            usd_each=model.price.usd,
            created_at=self.clock.now(),
            tags=order.tags,
            metadata=order.metadata,
            visibility=order.visibility or self.default_visibility,
            batch_id=batch[0] if batch else None,
            batch_index=batch[1] if batch else None,
        )

    async def _neighbour(self, generation: Generation) -> Neighbour | None:
        """A generation with a similar prompt. Raises Overloaded."""
        return await self.similar.match(
            generation.account_id,
            generation.operation,
            generation.model,
            generation.input,
            generation.input["prompt"],
            visibility=generation.visibility,
        )

    def _leader(
        self,
        tx: Transaction,
        generation: Generation,
        window: timedelta | None,
        neighbour: Neighbour | None,
    ) -> Leader | None:
        if window is None or generation.reuse_key is None:
            return None
        ledger.balance(tx, generation.account_id)  # locks the account: the same order at once comes after
        visibility = generation.visibility
        leader = self.reuse.find(tx, generation.reuse_key, window, visibility, generation.created_at)
        if leader is None and neighbour is not None:
            former = generations.get(tx, neighbour[0])
            leader = standing(tx, former, visibility, neighbour[1]) if former is not None else None
        if leader is None:
            self.followers.missed(tx)
        return leader

    def _enqueue(
        self, tx: Transaction, prepared: Prepared, leases: list[Lease]
    ) -> tuple[Generation, int | None]:
        """One job per provider call; they run in parallel as far as the class has seats, and those that find
        one free begin at once. The generation as it is now, and the queue position of its first job."""
        generation, own = prepared.generation, list[Lease]()
        first_job = None
        for job in calls(generation, prepared.model, self.max_starts, prepared.priority):
            job_id, lease = self.engine.begin(tx, job)
            first_job = first_job or job_id
            if lease is not None:
                own.append(lease)
        leases += own
        position = self.engine.position(tx, first_job) if first_job and not own else None
        eta = self.durations.ordered(tx, generation, position) if position is not None else None
        self.journal.record(tx, "queued", generation.id, position=position, eta_s=eta)
        for lease in own:
            generation = self.run.begin(tx, lease, generation)
        return generation, position


def hash_of(body: Mapping[str, Any]) -> str:
    """Equal for equal orders, however they were spelled."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
