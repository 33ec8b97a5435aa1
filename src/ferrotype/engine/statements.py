"""The statements on the `jobs` table, built once.

SQLite uses a partial index only where the query repeats its condition as a literal, so states are
written out here and never bound. None of these looks at ended jobs, however many there are.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    delete,
    exists,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)

from ferrotype.db.schema import attempts, jobs
from ferrotype.domain.states import JOB, JobState

#: Added to the priority of a job that is not due yet. The claim reads the priorities below it, so it never
#: meets a delayed job, let alone walks over 100,000 of them.
PARKED: Final = 1_000_000
#: Delayed jobs made due by one claim.
MAX_PROMOTED: Final = 500
#: A position is counted no further.
MAX_POSITION: Final = 1_000
#: Jobs looked at by one purge.
PURGE_WINDOW: Final = 2_000


def in_state(state: JobState) -> ColumnElement[bool]:
    """`state = 'queued'`, spelled as the partial indexes spell it."""
    return jobs.c.state == literal_column(f"'{state.value}'")


QUEUED: Final = in_state(JobState.QUEUED)
RUNNING: Final = in_state(JobState.RUNNING)

INSERT: Final = insert(jobs)
BY_ID: Final = select(jobs).where(jobs.c.id == bindparam("job"))

# --- the claim

_promoted = (
    select(jobs.c.id)
    .where(QUEUED, jobs.c.not_before.is_not(None), jobs.c.not_before <= bindparam("now"))
    .limit(MAX_PROMOTED)
)
#: How many of a class run.
RUNNING_OF_CLASS: Final = (
    select(func.count()).select_from(jobs).where(RUNNING, jobs.c.class_ == bindparam("of_class"))
)
#: Delayed jobs whose time has come go back to their own priority.
PROMOTE: Final = (
    update(jobs).where(jobs.c.id.in_(_promoted)).values(priority=jobs.c.priority - PARKED, not_before=null())
)
NEXT_DUE: Final = select(func.min(jobs.c.not_before)).where(QUEUED, jobs.c.not_before.is_not(None))


def _waiting() -> Any:
    # A seek per class that has queued jobs, instead of a walk over all of them.
    first = select(func.min(jobs.c.class_).label("class_")).where(QUEUED).cte("waiting", recursive=True)
    following = (
        select(func.min(jobs.c.class_)).where(QUEUED, jobs.c.class_ > first.c.class_).scalar_subquery()
    )
    waiting = first.union_all(select(following).where(first.c.class_.is_not(None)))
    running = select(func.count()).where(RUNNING, jobs.c.class_ == waiting.c.class_).scalar_subquery()
    return select(waiting.c.class_, running).where(waiting.c.class_.is_not(None))


#: (class, how many of it run) of every class that has queued jobs. A job whose end was asked for still runs.
WAITING: Final = _waiting()

CANDIDATES: Final = (
    select(jobs)
    .where(QUEUED, jobs.c.class_ == bindparam("of_class"), jobs.c.priority < PARKED)
    .order_by(jobs.c.priority, jobs.c.start_tag, jobs.c.id)
    .limit(bindparam("seats"))
)


@cache
def candidates_of(kinds: frozenset[str]) -> Select[Any]:
    """CANDIDATES of these kinds only: one statement for each set, because lists are compiled at each call."""
    return CANDIDATES.where(or_(false(), *(jobs.c.kind == kind for kind in sorted(kinds))))


TAKE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("taken"), QUEUED)
    .values(
        state=JobState.RUNNING.value,
        fence=jobs.c.fence + 1,
        starts=jobs.c.starts + 1,
        lease_owner=bindparam("owner"),
        lease_expires_at=bindparam("expires"),
        started_at=func.coalesce(jobs.c.started_at, bindparam("now", type_=jobs.c.started_at.type)),
    )
    .returning(jobs.c.id, jobs.c.fence, jobs.c.starts)
)

# --- the rest of a job's life

#: Whatever ends a lease, of the running job with this fence only.
LEAVE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.fence == bindparam("held_fence"), RUNNING)
    .values(
        state=bindparam("new_state"),
        lease_owner=null(),
        lease_expires_at=null(),
        priority=bindparam("new_priority"),
        not_before=bindparam("due"),
        starts=bindparam("new_starts"),
        error=bindparam("problem"),
        completed_at=bindparam("ended"),
    )
)
CANCEL_QUEUED: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"), QUEUED)
    .values(
        state=JobState.CANCELED.value,
        cancel_requested=True,
        priority=bindparam("new_priority"),
        not_before=null(),
        completed_at=bindparam("ended"),
    )
)
REQUEST_CANCEL: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(cancel_requested=True, priority=bindparam("new_priority"), not_before=null())
)
HURRY: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"), QUEUED, jobs.c.not_before > bindparam("now"))
    .values(not_before=bindparam("now"))
)
LEASED: Final = select(jobs).where(RUNNING)
RENEW: Final = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("held", expanding=True)), RUNNING)
    .values(lease_expires_at=bindparam("expires"))
)

# --- looking on

COUNT_QUEUED: Final = select(jobs.c.class_, func.count()).where(QUEUED).group_by(jobs.c.class_)
COUNT_RUNNING: Final = select(jobs.c.class_, func.count()).where(RUNNING).group_by(jobs.c.class_)

_before = (
    select(literal_column("1"))
    .where(
        QUEUED,
        jobs.c.class_ == bindparam("of_class"),
        tuple_(jobs.c.priority, jobs.c.start_tag, jobs.c.id)
        < tuple_(bindparam("priority"), bindparam("tag"), bindparam("job")),
    )
    .limit(MAX_POSITION - 1)
    .subquery()
)
COUNT_BEFORE: Final = select(func.count()).select_from(_before)
_ahead = (
    select(literal_column("1"))
    .where(QUEUED, jobs.c.class_ == bindparam("of_class"), jobs.c.priority <= bindparam("priority"))
    .limit(MAX_POSITION)
    .subquery()
)
COUNT_AHEAD: Final = select(func.count()).select_from(_ahead)

# --- the purge

_window = (
    select(jobs.c.id).where(jobs.c.id > bindparam("after")).order_by(jobs.c.id).limit(PURGE_WINDOW).subquery()
)
#: Where the window that begins after a job ends; null past the last job.
WINDOW_END: Final = select(func.max(_window.c.id), func.count())
PURGE: Final = delete(jobs).where(
    jobs.c.id > bindparam("after"),
    jobs.c.id <= bindparam("upto"),
    jobs.c.state.in_([state.value for state in JobState if JOB.is_terminal(state)]),
    jobs.c.completed_at < bindparam("cutoff"),
    ~exists().where(attempts.c.job_id == jobs.c.id),
)
