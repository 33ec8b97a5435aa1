"""Leaders and followers in any order of joins, reuses, failures, losses and cancels: the books balance,
nobody waits for what has ended, and what is made again is made once."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ferrotype.db import assets, generations, ledger
from ferrotype.db.database import Transaction
from ferrotype.domain.generation import Generation
from ferrotype.domain.ledger import EntryKind
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.states import GENERATION, AssetState, GenerationState, JobState
from ferrotype.services.conclude import JOBS
from ferrotype.services.reuse import Leader
from ferrotype.services.settings import ReuseSettings
from tests.services.test_books import GRANT, Books

MODEL = Model(name="a/b", operations=["generate"], deployments=[Deployment(provider="x", target="y")])


class Places:
    """Routing that knows one model."""

    def model(self, _: Generation) -> Model:
        return MODEL


class FollowerBooks(Books):
    """A leader with a picture per job, and up to four generations that follow it for 1 of 3 credits."""

    reuse = ReuseSettings(reuse_price=0.3)
    routing: Any = Places()

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.leaders: list[str] = []

    def every(self) -> list[Generation]:
        ids = [*self.leaders[:1], *self.ids]
        found = self.do(self.database.read(lambda tx: generations.of_ids(tx, ids)))
        return [found[each] for each in ids]

    @precondition(lambda self: len(self.ids) < 4)
    @rule()
    def order_the_same(self) -> None:
        """The same order once more: it joins, or is answered."""
        leader = self.generation()
        if leader.status in (GenerationState.FAILED, GenerationState.CANCELED):
            return
        follower = self.ordered()

        def story(tx: Transaction) -> bool:
            pictures = assets.of_generations(tx, [leader.id])[leader.id]
            found = Leader(leader, pictures)
            if not found.finished:
                self.followers.joined(tx, follower, found)
            elif len(pictures) == self.count and all(p.state is not AssetState.FAILED for p in pictures):
                self.followers.answered(tx, follower, found)
            else:
                return False
            return True

        if self.do(self.database.write(story)):
            self.ids.append(follower.id)

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def cancel_follower(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.ids))
        if chosen not in self.leaders:
            self.do(self.cancel_story(chosen, self.account))

    @invariant()
    def the_books_balance(self) -> None:
        if not hasattr(self, "database"):
            return
        if not self.leaders:
            self.leaders.append(self.generation_id)
        self._follow_the_leader()
        balance = self.do(self.database.read(lambda tx: ledger.balance(tx, self.account)))
        assert balance == self.do(self.database.read(lambda tx: ledger.recount(tx, self.account)))
        assert balance.available + balance.held + balance.spent == GRANT
        self.arriving = any(picture.state is AssetState.ARRIVING for picture in self.pictures())
        held = 0
        for generation in self.every():
            moved = self.do(self.database.read(lambda tx, id=generation.id: ledger.moved(tx, id)))
            hold = moved.get(EntryKind.HOLD, 0)
            settled = moved.get(EntryKind.SETTLE, 0)
            left = hold - settled - moved.get(EntryKind.RELEASE, 0)
            assert left >= 0
            held += left
            self._check(generation, settled, left)
        assert balance.held == held

    def _follow_the_leader(self) -> None:
        """Whoever took over is the one whose jobs go on."""
        for generation in self.every()[1:]:
            if generation.reused_from is None and generation.id not in self.leaders:
                assert GENERATION.is_terminal(self.generation().status)
                assert not self.running
                self.leaders.append(generation.id)
                self.generation_id, self.started, self.canceled = generation.id, 0, False

    def _check(self, generation: Generation, settled: int, left: int) -> None:
        leads = generation.reused_from is None
        pictures = self.do(self.database.read(lambda tx: assets.of_generations(tx, [generation.leader_id])))[
            generation.leader_id
        ]
        standing = [picture for picture in pictures if picture.state is not AssetState.FAILED]
        ready = sum(picture.state is AssetState.READY for picture in standing)
        if leads:
            assert settled == 3 * ready
        leader = next(each for each in self.every() if each.id == generation.leader_id)
        if not leads and not GENERATION.is_terminal(generation.status):
            # It waits only for what goes on.
            assert not GENERATION.is_terminal(leader.status)
            assert (left, settled) == (3 * self.count, 0)
        if not GENERATION.is_terminal(generation.status):
            return
        if generation.status is GenerationState.SUCCEEDED:
            assert standing
            price = 3 if leads else 1
            assert (settled, left) == (price * ready, price * (len(standing) - ready))
            if not leads and len(pictures) < self.count:  # what somebody canceled is made for the others
                assert JobState.CANCELED not in self._jobs(leader.id)
        elif not leads:
            assert (settled, left) == (0, 0)
            assert generation.status is GenerationState.CANCELED or generation.error is not None
        canceled = [each for each in self.leaders if JobState.CANCELED in self._jobs(each)]
        # Made once, made again once after a failure, and again after each cancel.
        assert len(self.leaders) <= 2 + len(canceled)

    def _jobs(self, generation_id: str) -> set[str]:
        of = {"of_generation": generation_id}
        rows = self.do(self.database.read(lambda tx: tx.execute(JOBS, of).all()))
        return {row.state for row in rows}


FollowerBooks.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFollowerBooks = FollowerBooks.TestCase
