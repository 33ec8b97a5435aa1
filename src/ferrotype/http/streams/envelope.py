"""An event as JSON. It is read and written once for all who get it with the same options."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ferrotype.domain.clock import Clock, rfc3339
from ferrotype.domain.event import Event
from ferrotype.domain.problems import NotFound
from ferrotype.services.batch_envelopes import BatchEnvelopes
from ferrotype.services.envelopes import Envelopes
from ferrotype.services.inline import Inline, InlinePictures, placeholder

#: Seconds after which an event is written anew: what it shows of an asset may have changed.
KEPT_SECONDS: Final = 2.0
#: Bytes of JSON that are kept meanwhile, and events.
KEPT_BYTES: Final = 16 * 1024 * 1024
KEPT: Final = 2_048


class Told:
    """One event, ready to be sent. `seq` is its number, None for a live one; `text` its JSON."""

    __slots__ = ("_tail", "seq", "text", "type")

    def __init__(self, type: str, seq: int | None, text: str) -> None:
        self.type = type
        self.seq = seq
        self.text = text
        self._tail: bytes | None = None

    def as_sse(self, number: int) -> bytes:
        """As a server-sent event, after which a client resumes at `number` (WHATWG HTML, 9.2.5)."""
        if self._tail is None:
            self._tail = f"\nevent: {self.type}\ndata: {self.text}\n\n".encode()
        return b"id: %d%b" % (number, self._tail)

    def as_message(self, prefix: str) -> str:
        """As a message; `prefix` is an object with the members that come first, still open."""
        return prefix + self.text[1:]


def dumps(body: dict[str, Any]) -> str:
    """Compact JSON that can be encoded whatever is in it: half a surrogate pair is written as an escape."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(body, separators=(",", ":"))
    return text


def plain(event: Event) -> dict[str, Any]:
    """What every event has, and what it tells."""
    return {
        "object": "event",
        "id": event.seq,
        "type": event.type,
        "at": rfc3339(event.at),
        "generation_id": event.generation_id,
        "batch_id": event.batch_id,
        **event.data,
    }


class Key(NamedTuple):
    """What makes two readers get the same text. A live event is known by its object, which is kept."""

    event: int
    live: bool
    base_url: str
    inline: Inline | None


class Kept(NamedTuple):
    event: Event
    told: Told
    until: float


class Writer:
    """Writes events. `account_id` is whose assets, generations and batches they may show."""

    def __init__(
        self,
        envelopes: Envelopes,
        batches: BatchEnvelopes,
        inline: InlinePictures,
        account_id: str,
        clock: Clock,
    ) -> None:
        self._envelopes = envelopes
        self._batches = batches
        self._inline = inline
        self._account_id = account_id
        self._clock = clock
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._size = 0
        self._making: dict[Key, asyncio.Task[Told]] = {}
        #: How many were written, which is not how many were sent.
        self.written = 0

    async def write(self, event: Event, base_url: str, inline: Inline | None) -> Told:
        """The event with the asset, the generation or the batch that it tells of, as that is about now."""
        live = event.seq is None
        key = Key(
            id(event) if event.seq is None else event.seq,
            live,
            base_url,
            inline if "asset_id" in event.data else None,
        )
        kept = self._kept.get(key)
        if kept is not None and (live or self._clock.monotonic() < kept.until):
            return kept.told
        if "asset_id" not in event.data and not event.terminal:
            return self._keep(key, event, plain(event))
        task = self._making.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(key, event))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(task)

    async def _make(self, key: Key, event: Event) -> Told:
        body = plain(event)
        with suppress(NotFound):  # deleted meanwhile
            if "asset_id" in event.data:
                await self._add_asset(body, event, key)
            elif event.generation_id is not None:
                body["generation"] = await self._envelopes.generation(
                    event.generation_id, self._account_id, key.base_url
                )
            elif event.batch_id is not None:
                body["batch"] = await self._batches.envelope(event.batch_id, self._account_id, key.base_url)
        return self._keep(key, event, body)

    async def _add_asset(self, body: dict[str, Any], event: Event, key: Key) -> None:
        asset_id = event.data["asset_id"]
        asset = await self._envelopes.asset(asset_id, self._account_id, key.base_url)
        body["asset"] = asset
        if key.inline == "placeholder" and event.type in ("output", "ready", "enriched"):
            known = asset["placeholder"]
            if known or event.type == "enriched" or asset["state"] == "ready":
                body["inline"] = placeholder(known["data_uri"]) if known else None
        elif key.inline is not None and event.type in ("output", "ready") and asset["state"] == "ready":
            body["inline"] = await self._inline.get(asset_id, key.inline)

    def _keep(self, key: Key, event: Event, body: dict[str, Any]) -> Told:
        told = Told(event.type, event.seq, dumps(body))
        self.written += 1
        before = self._kept.pop(key, None)
        self._size += len(told.text) - (len(before.told.text) if before else 0)
        self._kept[key] = Kept(event, told, self._clock.monotonic() + KEPT_SECONDS)
        while self._size > KEPT_BYTES or len(self._kept) > KEPT:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.told.text)
        return told
