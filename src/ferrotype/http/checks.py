"""What routes hold the parts of a request against, each the same wherever it comes."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from fastapi import Query

from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import InvalidField, NotFound

#: The place where a page begins, as a route takes it.
Cursor: TypeAlias = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def known(id: str, what: str) -> str:
    """The id, if it can be one. Raises NotFound."""
    if not is_id(id):
        raise NotFound(f"There is no {what} {id[:64]!r}.")
    return id


def check_key(idempotency_key: str | None) -> None:
    """Raise InvalidField unless it can be one."""
    if idempotency_key is not None and KEY.fullmatch(idempotency_key) is None:
        raise InvalidField(
            "An idempotency key has 1 to 255 visible ASCII characters.", field="Idempotency-Key", limit=255
        )


def check_limit(limit: int, most: int) -> None:
    """Raise InvalidField for a page that is too long."""
    if limit > most:
        raise InvalidField("limit is too large.", field="limit", limit=most)


def check_cursor(cursor: str | None) -> None:
    """Raise InvalidField for what cannot be the id that a page ended with."""
    if cursor is not None and not is_id(cursor):
        raise InvalidField("That is no cursor of ours.", field="cursor")
