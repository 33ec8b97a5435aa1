"""Similar prompts: what an account had made before, found by what was meant and not by how it was put."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Any, Final

from ferrotype.db import assets, generations, prompts
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation
from ferrotype.domain.problems import NotEnabled
from ferrotype.domain.states import AssetState, GenerationState
from ferrotype.embedding import INSTALL, Embedder, SimilarSettings, conflict, likeness
from ferrotype.embedding.index import Index
from ferrotype.services.terms import Terms

#: Neighbours whose rows are read at a time.
BATCH: Final = 32
#: Different former prompts that an order is compared with, by their words, and then place by place.
COMPARED, CLOSEST = 32, 4
#: Digits of a similarity that mean something.
DIGITS: Final = 4

#: A generation's id and how similar its prompt is, 1 for the same.
Neighbour = tuple[str, float]


class Similar:
    """Searches the prompts of one account at a time. `embedder` is None where that is switched off, or where
    its packages are not installed."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder | None,
        terms: Terms,
        clock: Clock,
        settings: SimilarSettings,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._terms = terms
        self._clock = clock
        self._settings = settings
        self._indexes: OrderedDict[str, Index] = OrderedDict()
        self._lock = Lock()

    def check(self) -> Embedder:
        """The embedder. Raises NotEnabled, which names the setting or the command that is missing."""
        if self._embedder is not None:
            return self._embedder
        if not self._settings.similar:
            raise NotEnabled("Similar prompts are switched off; FERROTYPE_SIMILAR=true switches them on.")
        raise NotEnabled(f"Similar prompts need packages that are not installed: {INSTALL}")

    async def search(self, account_id: str, text: str, limit: int, threshold: float) -> list[Neighbour]:
        """The account's generations whose prompts are at least that similar to `text`, the nearest first:
        those that went well, made their own pictures, and have one that stands.

        Raises NotEnabled, and Overloaded when too much waits.
        """
        embedder = self.check()
        (vector,) = await embedder.embed([text])
        now = self._clock.now()

        def story(tx: Transaction) -> list[Neighbour]:
            with self._lock:
                index = self._index(tx, embedder, account_id)
                near = self._looked_up(tx, account_id, index.nearest(vector, threshold))
                fitting = (
                    (generation.id, similarity)
                    for generation, pictures, similarity in near
                    if any(_stands(picture, now) for picture in pictures)
                )
                return list(islice(fitting, limit))

        return await self._database.read(story)

    async def match(
        self,
        account_id: str,
        operation: str,
        model: str,
        parameters: Mapping[str, Any],
        prompt: str,
        *,
        visibility: Visibility | None = None,
    ) -> Neighbour | None:
        """The former generation that can stand in for an order; None where there is none.

        That is the one with the most similar prompt, from `similar_threshold` on, of those of this account
        with the same `Terms`, that is operation, model and `parameters` (a generation's `input`) less the
        words, and with that `visibility` if one is given. It made its own pictures, all that were ordered,
        and all of them stood a moment ago. The similarity is that of the places where the two prompts
        differ, and no prompt counts with which there is a `conflict`.

        Raises NotEnabled, and Overloaded when too much waits.
        """
        embedder, threshold = self.check(), self._settings.similar_threshold
        if not prompt.strip():
            return None
        (vector,) = await embedder.embed([prompt])
        now = self._clock.now()

        def story(tx: Transaction) -> list[tuple[str, str, float]]:
            wanted = self._terms(tx, operation, model, parameters)
            found: list[tuple[str, str, float]] = []
            compared: set[str] = set()
            with self._lock:
                index = self._index(tx, embedder, account_id)
                nearest = index.nearest(vector, threshold, wanted)
                for generation, pictures, similarity in self._looked_up(tx, account_id, nearest):
                    former = str(generation.input["prompt"])
                    if (
                        former not in compared
                        and _is_whole(generation, pictures, now)
                        and visibility in (None, generation.visibility)
                        and wanted == self._terms.of(tx, generation)
                    ):
                        compared.add(former)
                        if conflict(prompt, former) is None:
                            found.append((generation.id, former, similarity))
                        if len(compared) == COMPARED or len(found) == CLOSEST:
                            break
            return found

        best: Neighbour | None = None
        for generation_id, former, whole in await self._database.read(story):
            if best is not None and whole <= best[1]:
                break
            found = round(await likeness(embedder, prompt, former, whole), DIGITS)
            if found >= threshold and (best is None or found > best[1]):
                best = generation_id, found
        return best

    def _index(self, tx: Transaction, embedder: Embedder, account_id: str) -> Index:
        """The account's vectors, up to the last that was written."""
        most = self._settings.similar_max_prompts
        index = self._indexes.pop(account_id, None) or Index(embedder.size, most)
        index.add(prompts.after(tx, account_id, embedder.name, index.newest, most))
        self._indexes[account_id] = index
        while len(self._indexes) > 1 and sum(map(len, self._indexes.values())) > most:
            self._indexes.popitem(last=False)  # the one that nobody has searched for longest
        return index

    def _looked_up(
        self, tx: Transaction, account_id: str, nearest: Iterator[Neighbour]
    ) -> Iterator[tuple[Generation, list[Asset], float]]:
        """What memory proposes, as far as the database agrees: it may have gone since."""
        while batch := list(islice(nearest, BATCH)):
            ids = [generation_id for generation_id, _ in batch]
            found, pictures = generations.of_ids(tx, ids), assets.of_generations(tx, ids)
            for generation_id, similarity in batch:
                generation = found.get(generation_id)
                if (
                    generation is not None
                    and generation.account_id == account_id
                    and generation.status is GenerationState.SUCCEEDED
                    and generation.reused_from is None
                ):
                    yield generation, pictures[generation_id], round(similarity, DIGITS)


def _is_whole(generation: Generation, pictures: list[Asset], now: datetime) -> bool:
    """Whether everything that was ordered is there."""
    return (
        generation.error is None
        and len(pictures) == generation.num_images
        and all(picture.state is AssetState.READY and _stands(picture, now) for picture in pictures)
    )


def _stands(picture: Asset, now: datetime) -> bool:
    return (
        picture.state is not AssetState.FAILED
        and picture.deleted_at is None
        and (picture.expires_at is None or picture.expires_at > now)
    )
