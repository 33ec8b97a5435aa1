"""The open reply, read into events: one JSON value, or a stream of server-sent events.

Which of the two it is says its first byte: servers that cannot stream answer a wish for it with JSON, and
content types lie. Sources: openai-python 3.54 `types/images_response.py` and `image_*_event.py`; vLLM-Omni's
`docs/serving/image_edit_api.md` for its own kind of stream.

Stream of OpenAI: `image_generation.partial_image` ... `image_generation.completed`, or with `image_edit.` in
front. Stream of vLLM-Omni: `{"type": "image", "data": [...]}`. Both end with `[DONE]`, and carry errors as
`{"error": {...}}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from ferrotype.domain.problems import OutcomeUnknown, ProviderFailed, ProviderProblem
from ferrotype.imaging.sniff import sniff
from ferrotype.providers.base import AttemptRequest, Finished, Output, Preview, WatchEvent
from ferrotype.providers.hosted.api import Api
from ferrotype.providers.hosted.outputs import decoded, read_outputs
from ferrotype.providers.hosted.sse import server_events
from ferrotype.providers.openai.endings import broken
from ferrotype.providers.openai.pictures import preview_of

DONE: Final = "[DONE]"
SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")
#: Kinds of tokens that a breakdown tells of.
KINDS: Final = ("text_tokens", "image_tokens")
BLANK: Final = b"\xef\xbb\xbf \t\r\n"


class Answer:
    """One reply. `seconds` is the service's own measure, where it told one; prices are by kind of token."""

    def __init__(
        self,
        api: Api,
        request: AttemptRequest,
        usd_per_million_tokens: Mapping[str, float],
        seconds: float | None = None,
    ) -> None:
        self._api = api
        self._request = request
        self._prices = usd_per_million_tokens
        self._seconds = seconds
        self._made = 0
        self._flaw: ProviderFailed | None = None  # what is wrong with a picture that was sent
        self._usd: float | None = None

    async def events(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[WatchEvent]:
        """Previews and outputs as they come, then Finished.

        Raises ProviderFailed, ProviderRefused, ProviderRejected or AttemptLost as the service says, where it
        made nothing, and OutcomeUnknown where its answer breaks off or cannot be read.
        """
        async with aclosing(chunks):
            head = b""
            async for chunk in chunks:
                head += chunk
                if head.strip(BLANK):
                    break
            if head.lstrip(BLANK)[:1] in (b"{", b"["):
                body = head + b"".join([chunk async for chunk in chunks])
                for output in self._whole(body):
                    yield output
            else:
                async with aclosing(self._stream(_again(head, chunks))) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, Finished):
                            return
        yield self._finished()

    def _whole(self, body: bytes) -> Iterator[Output]:
        value = self._read(body)
        if isinstance(value, dict) and value.get("error"):
            raise broken(self._api, value)
        yield from self._outputs(value)

    async def _stream(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[WatchEvent]:
        done = False
        async with aclosing(chunks), aclosing(server_events(chunks)) as events:
            async for event in events:
                if event.data.strip() == DONE:
                    done = True
                    break
                value = self._read(event.data)
                if not isinstance(value, dict):
                    continue
                kind = str(value.get("type") or event.name)
                if value.get("error") or kind == "error":
                    if not self._made:
                        raise broken(self._api, value)
                    yield self._finished(broken(self._api, value))
                    return
                if "partial_image" in kind:
                    if (preview := await _preview(value)) is not None:
                        yield preview
                    continue
                for output in self._outputs(value):
                    yield output
        if not self._made and not done:
            raise OutcomeUnknown(f"{self._api.name}'s answer ended before a picture came.")

    def _outputs(self, value: Any) -> Iterator[Output]:
        """The pictures of an answer, or of an event, and what it says about their size and price."""
        facts = value if isinstance(value, dict) else {}
        items = facts.get("data") if "data" in facts else value
        size = SIZE.fullmatch(str(facts.get("size")))
        self._charge(facts.get("usage"))
        for item in items if isinstance(items, list) else [items]:
            try:
                output = _output(item, self._made, self._api.name, size)
            except ProviderFailed as flaw:
                self._flaw, output = flaw, None
            if output is not None:
                self._made += 1
                yield output

    def _charge(self, usage: Any) -> None:
        """Add up tokens by their prices; an answer without a breakdown is of text in, pictures out."""
        if not self._prices or not isinstance(usage, dict):
            return
        incoming = _details(usage, "input_tokens", "text_tokens")
        outgoing = _details(usage, "output_tokens", "image_tokens")
        tokens = {
            "text_input": incoming["text_tokens"],
            "image_input": incoming["image_tokens"],
            "text_output": outgoing["text_tokens"],
            "image_output": outgoing["image_tokens"],
        }
        usd = sum(count * self._prices.get(kind, 0.0) for kind, count in tokens.items()) / 1_000_000
        self._usd = (self._usd or 0.0) + usd

    def _finished(self, problem: ProviderProblem | None = None) -> Finished:
        wanted = self._request.num_images
        if not self._made:
            raise self._flaw or ProviderFailed(f"{self._api.name} made no picture, and did not say why.")
        if problem is None and self._made < wanted:
            words = f"{self._api.name} made {self._made} of {wanted} pictures."
            problem = ProviderFailed(f"{words} {self._flaw.detail}" if self._flaw else words)
        return Finished(problem=problem, seconds=self._seconds, usd=self._usd)

    def _read(self, text: bytes | str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise OutcomeUnknown(f"{self._api.name}'s answer cannot be read.") from None


async def _again(head: bytes, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The chunks with what was read of them already."""
    yield head
    async for chunk in chunks:
        yield chunk


def _output(item: Any, index: int, provider: str, size: re.Match[str] | None) -> Output | None:
    """A picture of `{b64_json}` or `{url}`; None for an item that holds none, as of one that was refused."""
    width, height = (int(size[1]), int(size[2])) if size else (None, None)
    data = _bytes(item)
    if data:
        kind = sniff(data)
        content_type = kind.content_type if kind else None
        return Output(index, data=data, content_type=content_type, width=width, height=height)
    address = item.get("url") if isinstance(item, dict) else None
    for output in read_outputs(address, provider, first=index):
        return replace(output, width=width, height=height)
    return None


async def _preview(value: Any) -> Preview | None:
    """The unfinished picture of an event; None for one that cannot be shown, which is no harm."""
    try:
        return await preview_of(_bytes(value))
    except ProviderFailed:
        return None


def _bytes(item: Any) -> bytes:
    """The inline picture; some servers make a data URI of it. Raises ProviderFailed for bad base64."""
    text = item.get("b64_json") if isinstance(item, dict) else None
    if not isinstance(text, str):
        return b""
    return decoded(text.partition(",")[2] if text.startswith("data:") else text)


def _details(usage: Mapping[str, Any], name: str, alone: str) -> dict[str, int]:
    """Tokens by kind; all of them are of the kind `alone` where nothing more is told."""
    told = usage.get(f"{name}_details")
    counts = {kind: _count(told.get(kind)) if isinstance(told, dict) else 0 for kind in KINDS}
    return counts if any(counts.values()) else counts | {alone: _count(usage.get(name))}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
