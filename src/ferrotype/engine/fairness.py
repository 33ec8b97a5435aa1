"""Start-time fair queueing: in which order the jobs of a class start.

A job's start tag is max(the lane's clock, its account's last tag + 1/weight), and the lowest tag starts
first. An account that orders 500 pictures spreads its tags over the next 500 turns; another's single
picture is tagged with the clock of this moment and so goes in front of all but the first of them. The
clock follows the tags that start, so an account that was idle earns nothing for it, and a tag once given
is only ever overtaken by a bounded number of others: nobody starves.

Each priority of a class is a lane with a clock and tags of its own. Would they share them, an account's
batch would push back the account's own interactive jobs behind everybody's.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from ferrotype.db.database import Transaction
from ferrotype.db.schema import account_tags, class_clocks


def lane(class_: str, priority: int) -> str:
    """The key of a class's clock and tags at one priority."""
    return class_ if priority == 0 else f"{class_}/{priority}"


_CLOCK_AND_TAG: Final = select(
    select(class_clocks.c.clock).where(class_clocks.c.class_ == bindparam("lane")).scalar_subquery(),
    select(account_tags.c.tag)
    .where(account_tags.c.class_ == bindparam("lane"), account_tags.c.account_id == bindparam("account"))
    .scalar_subquery(),
)

_new_tag = insert(account_tags)
_SET_TAG: Final = _new_tag.on_conflict_do_update(
    index_elements=[account_tags.c.class_, account_tags.c.account_id], set_={"tag": _new_tag.excluded.tag}
)

_new_clock = insert(class_clocks)
_ADVANCE: Final = _new_clock.on_conflict_do_update(
    index_elements=[class_clocks.c.class_],
    set_={"clock": func.max(class_clocks.c.clock, _new_clock.excluded.clock)},
)


def next_tag(tx: Transaction, in_lane: str, account_id: str, weight: float) -> float:
    """The start tag of the account's next job, from now on its last one."""
    row: Any = tx.execute(_CLOCK_AND_TAG, {"lane": in_lane, "account": account_id}).one()
    clock, last = row
    tag = float(clock or 0.0)
    if last is not None:
        tag = max(tag, float(last) + 1.0 / weight)
    tx.execute(_SET_TAG, {"class_": in_lane, "account_id": account_id, "tag": tag})
    return tag


def advance(tx: Transaction, in_lane: str, tag: float) -> None:
    """A job with this tag starts: the clock follows, and never goes back."""
    tx.execute(_ADVANCE, {"class_": in_lane, "clock": tag})
