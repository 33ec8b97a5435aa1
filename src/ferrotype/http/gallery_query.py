"""Filters of a gallery in the query of a URL: the same for its pages, its timeline and its facets."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from ferrotype.domain.gallery import Filters, day_end, day_start
from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import InvalidField
from ferrotype.domain.states import AssetState
from ferrotype.domain.words import words
from ferrotype.services.gallery import Place

MAX_LIMIT: Final = 200
#: Pictures that can be gone past in a day.
MAX_OFFSET: Final = 10_000_000
#: The time zones of the world lie within, in minutes.
MAX_TZ: Final = 840
DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class GalleryQuery(BaseModel):
    """Which pictures; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field("", max_length=200, description="Words that must all occur in the prompt, in any case.")
    model: str | None = Field(None, max_length=200)
    style: str | None = Field(None, max_length=64)
    aspect_ratio: str | None = Field(None, max_length=16, description="As it was ordered: `16:9`.")
    operation: str | None = Field(None, max_length=64)
    status: AssetState | None = Field(None, description="Those that failed are only shown when asked for.")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="Of the picture itself.")
    favourite: bool = Field(False, description="Favourites only.")
    collection: str | None = Field(None, description="A collection's id.")
    batch: str | None = Field(None, description="A batch's id.")
    tag: str | None = Field(None, max_length=64, description="Of the order, or of an imported picture.")
    from_: str | None = Field(None, alias="from", description="First day, `YYYY-MM-DD`, in `tz`.")
    to: str | None = Field(None, description="Last day, `YYYY-MM-DD`, in `tz`.")
    tz: int = Field(0, ge=-MAX_TZ, le=MAX_TZ, description="Whose days: minutes east of UTC.")
    deleted: bool = Field(False, description="What was deleted and can be restored.")
    uploads: bool | None = Field(
        None,
        description="Uploaded pictures instead of generated ones. When omitted: generated ones, and both"
        " among favourites, in a collection and among the deleted.",
    )

    def filters(self) -> Filters:
        """Raises InvalidField naming the parameter and its limit."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, str) and "\x00" in value:
                raise InvalidField("Text has no NUL.", field=field.alias or name)
        both = self.favourite or self.deleted or self.collection is not None
        first, last = read_date("from", self.from_), read_date("to", self.to)
        if first is not None and last is not None and first > last:
            raise InvalidField("from is later than to.", field="from", limit=self.to)
        return Filters(
            words=words(self.q),
            model=self.model,
            style=self.style,
            aspect_ratio=self.aspect_ratio,
            operation=self.operation,
            state=self.status,
            seed=self.seed,
            favourite=self.favourite,
            collection_id=read_id("collection", self.collection),
            batch_id=read_id("batch", self.batch),
            tag=self.tag,
            from_ms=None if first is None else day_start(first, self.tz),
            end_ms=None if last is None else day_end(last, self.tz),
            deleted=self.deleted,
            uploads=(None if both else False) if self.uploads is None else self.uploads,
        )


class PageQuery(GalleryQuery):
    """Which pictures, and where to begin."""

    limit: int = Field(50, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    date: str | None = Field(None, description="Begin with that day, `YYYY-MM-DD`, in `tz`.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Pictures of that day to go past.")
    beyond: bool = Field(False, description="Go on into the days before, instead of ending with that day.")
    until: str | None = Field(
        None, description="`newest` of a timeline: pictures that came later do not move the offsets."
    )

    def place(self) -> Place:
        """Raises InvalidField naming the parameter and its limit."""
        day = read_date("date", self.date)
        if day is not None and self.cursor is not None:
            raise InvalidField("A page begins at a cursor or at a date.", field="cursor")
        for name, given in (("offset", self.offset > 0), ("beyond", self.beyond)):
            if given and day is None:
                raise InvalidField(f"{name} needs a date.", field=name)
        return Place(
            cursor=read_id("cursor", self.cursor),
            day=day,
            tz=self.tz,
            offset=self.offset,
            until=read_id("until", self.until),
            beyond=self.beyond,
        )


def read_date(name: str, text: str | None) -> date | None:
    """Raises InvalidField for what is no day."""
    if text is None:
        return None
    try:
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidField(f"{name} is a day, YYYY-MM-DD.", field=name, limit="YYYY-MM-DD")


def read_id(name: str, text: str | None) -> str | None:
    """Raises InvalidField for what cannot be an id."""
    if text is not None and not is_id(text):
        raise InvalidField(f"{name} is no id that was given out here.", field=name)
    return text
