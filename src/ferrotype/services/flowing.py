"""A picture that still arrives and goes on without its workflow."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from ferrotype.domain.problems import InvalidField
from ferrotype.imaging.provenance.flow import Flow, Unflowing
from ferrotype.storage.arrival import Arrival, ArrivalBroken, ArrivalHead


@dataclass(frozen=True, slots=True)
class Flowed:
    """What `Opened` is, of one that still arrives."""

    delivery: Flowing
    level: str


class Flowing:
    """To its readers what an `Arrival` is; how long it is shows at its end."""

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival

    async def head(self) -> ArrivalHead:
        """As that of the arrival."""
        return ArrivalHead((await self._arrival.head()).content_type, None)

    async def length(self) -> int:
        """How many bytes it has, in the end; waits for that. Raises as `chunks` does."""
        return sum([len(chunk) async for chunk in self.chunks()])

    async def chunks(self, start: int = 0) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` on as they come. Raises as those of the arrival do, and ArrivalBroken for a
        picture that turns out to be damaged."""
        flow, skip = Flow(), start
        async with aclosing(self._arrival.chunks()) as chunks:
            async for chunk in chunks:
                try:
                    ready = flow.feed(chunk)
                except (Unflowing, InvalidField) as error:
                    raise ArrivalBroken(InvalidField(str(error), field="image")) from error
                if data := ready[skip:]:
                    yield data
                skip = max(0, skip - len(ready))


async def flowing(arrival: Arrival) -> Flowing | None:
    """The arrival without its workflow, None where it has to be whole first. Waits for what is in front of
    the pixels. Raises the problem of an arrival that breaks off."""
    flow = Flow()
    try:
        async with aclosing(arrival.chunks()) as chunks:
            async for chunk in chunks:
                flow.feed(chunk)
                if flow.is_begun:  # without a workflow so far it may be the original in the end
                    return Flowing(arrival) if flow.told else None
    except (Unflowing, InvalidField):
        return None
    except ArrivalBroken as broken:
        raise broken.problem from broken
    return None
