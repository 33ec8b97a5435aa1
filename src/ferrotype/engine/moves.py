"""The moves of one job's row. Every change of state goes through the table in `domain/states.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ferrotype.db.database import Transaction
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import JOB, JobState
from ferrotype.engine import fairness
from ferrotype.engine import statements as sql
from ferrotype.engine.base import LeaseLost, NewJob
from ferrotype.engine.settings import MAX_CLASS_NAME


def parked(priority: int, due: datetime | None, now: datetime) -> tuple[int, datetime | None]:
    """(priority, not before) of a job to be queued: out of the claim's way until it is due."""
    return (int(priority), None) if due is None or due <= now else (priority + sql.PARKED, due)


def unparked(priority: int) -> int:
    """The priority that a job has once it is due."""
    return priority - sql.PARKED if priority >= sql.PARKED else priority


def insert(tx: Transaction, job: NewJob, now: datetime) -> str:
    """A new queued job; its id. Raises ValueError for one that could never be run."""
    if not (job.weight > 0 and job.max_starts > 0 and 0 < len(job.class_) <= MAX_CLASS_NAME):
        raise ValueError(f"no such job can be run: {job}")
    tag = fairness.next_tag(tx, fairness.lane(job.class_, job.priority), job.account_id, job.weight)
    priority, due = parked(job.priority, job.not_before, now)
    job_id = new_id(int(now.timestamp() * 1000))
    values = {
        "id": job_id,
        "kind": job.kind,
        "class_": job.class_,
        "account_id": job.account_id,
        "generation_id": job.generation_id,
        "state": JOB.initial.value,
        "payload": dict(job.payload),
        "priority": priority,
        "start_tag": tag,
        "not_before": due,
        "max_starts": job.max_starts,
        "created_at": now,
    }
    tx.execute(sql.INSERT, values)
    return job_id


def find(tx: Transaction, job_id: str) -> Any:
    """The job's row, or None."""
    return tx.execute(sql.BY_ID, {"job": job_id}).one_or_none()


def fenced(tx: Transaction, job_id: str, fence: int) -> Any:
    """The job's row, if the lease with this fence holds; raises LeaseLost otherwise.

    When it expires does not matter here: until somebody takes the job over, nobody else works on it.
    """
    row = find(tx, job_id)
    if row is None or row.fence != fence or row.state != JobState.RUNNING:
        raise LeaseLost(f"job {job_id}, fence {fence}")
    return row


def leave(
    tx: Transaction,
    row: Any,
    following: JobState,
    now: datetime,
    *,
    error: Mapping[str, Any] | None = None,
    due: datetime | None = None,
    starts: int | None = None,
) -> None:
    """The one way out of `running`."""
    JOB.advance(JobState(row.state), following)
    priority, due = parked(row.priority, due, now)
    values = {
        "job": row.id,
        "held_fence": row.fence,
        "new_state": following.value,
        "new_priority": priority,
        "due": due,
        "new_starts": row.starts if starts is None else starts,
        "problem": None if error is None else dict(error),
        "ended": now if JOB.is_terminal(following) else None,
    }
    tx.execute(sql.LEAVE, values)


def ask_to_end(tx: Transaction, row: Any, now: datetime) -> JobState:
    """Cancel a job that never ran, tell any other that has not ended; its state now."""
    state = JobState(row.state)
    if JOB.is_terminal(state):
        return state
    values = {"job": row.id, "new_priority": unparked(row.priority)}
    # The fence counts the claims, also those whose start was given back.
    if state is JobState.QUEUED and row.fence == 0:
        tx.execute(sql.CANCEL_QUEUED, {**values, "ended": now})
        return JOB.advance(state, JobState.CANCELED)
    tx.execute(sql.REQUEST_CANCEL, values)
    return state
