"""What the pieces of one answer add up to: pictures, words, why it ended, what it cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.domain.problems import OutcomeUnknown, ProviderProblem
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.gemini.endings import blocked, finished
from ferrotype.providers.gemini.order import SIGNATURES, text_of
from ferrotype.providers.hosted.outputs import decoded
from ferrotype.providers.hosted.text import shown

#: Longest signature that is kept, in characters; a picture whose signature is longer is edited without it.
MAX_SIGNATURE: Final = 2_000_000
#: Characters of the model's words that are kept until the end; less is shown.
MAX_WORDS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture of an answer."""

    data: bytes
    content_type: str | None


class Answer:
    """One answer, taken piece by piece. Fields of a wrong type count as absent."""

    def __init__(self) -> None:
        self.count = 0
        self._signatures: dict[str, str] = {}
        self._words = ""
        self._reason: str | None = None
        self._blocked: str | None = None
        self._message = ""
        self._categories: list[str] = []
        self._usage: Mapping[str, Any] = {}

    def take(self, chunk: Mapping[str, Any]) -> list[Picture]:
        """The pictures that the piece brings. Raises ProviderFailed where one is no base64."""
        feedback = _table(chunk, "promptFeedback")
        if reason := _text(feedback, "blockReason"):
            self._blocked, self._message = reason, _text(feedback, "blockReasonMessage")
            self._rate(feedback)
        self._usage = _table(chunk, "usageMetadata") or self._usage
        pictures = []
        for candidate in _tables(chunk, "candidates"):
            if reason := _text(candidate, "finishReason"):
                self._reason, self._message = reason, _text(candidate, "finishMessage")
            self._rate(candidate)
            for part in _tables(_table(candidate, "content"), "parts"):
                picture = self._part(part)
                pictures += [picture] if picture is not None else []
        return pictures

    def _part(self, part: Mapping[str, Any]) -> Picture | None:
        if part.get("thought") is True:  # a draft, and not signed
            return None
        if len(self._words) < MAX_WORDS:
            self._words += _text(part, "text")[:MAX_WORDS]
        inline = _table(part, "inlineData")
        data = _text(inline, "data")
        if not data:
            return None
        picture = Picture(decoded(data), _text(inline, "mimeType") or None)
        signature = _text(part, "thoughtSignature")
        if 0 < len(signature) <= MAX_SIGNATURE:
            self._signatures[hashlib.sha256(picture.data).hexdigest()] = signature
        self.count += 1
        return picture

    def _rate(self, rated: Mapping[str, Any]) -> None:
        for rating in _tables(rated, "safetyRatings"):
            category = _text(rating, "category").removeprefix("HARM_CATEGORY_").replace("_", " ").lower()
            if rating.get("blocked") is True and category not in self._categories:
                self._categories.append(category)

    @property
    def ended(self) -> bool:
        """Whether it says by itself why it ended."""
        return self._reason is not None or self._blocked is not None

    def problem(self, name: str, secrets: tuple[str, ...]) -> ProviderProblem:
        """Why there is no picture in it. `name` is the connection's."""
        if self._blocked is not None:
            reason, (kind, why) = self._blocked, blocked(self._blocked)
        elif self._reason is not None:
            reason, (kind, why) = self._reason, finished(self._reason)
        else:
            return OutcomeUnknown(f"{name}'s answer ended before it was done.")
        detail = f"{name} made no picture: {why} ({shown(reason)[:60]})."
        if self._categories:
            detail += f" It names {shown(', '.join(self._categories), secrets)}."
        if said := shown(self._message or self._words.strip(), secrets):
            detail += f" It says: {said}"
        return kind(detail)

    def usd(self, prices: object) -> float | None:
        """What it cost in dollars, where `prices` has dollars per million tokens: `input`, `text` (thoughts
        too), `image`. None where prices or counts are missing."""
        if not isinstance(prices, Mapping) or not self._usage:
            return None
        made = _number(self._usage, "candidatesTokenCount")
        details = _tables(self._usage, "candidatesTokensDetails")
        images = sum(
            _number(detail, "tokenCount") for detail in details if _text(detail, "modality") == "IMAGE"
        )
        # Without details all of it counts as the picture, which is nearly true.
        images = min(images, made) if details else made
        tokens = {
            "input": _number(self._usage, "promptTokenCount")
            + _number(self._usage, "toolUsePromptTokenCount"),
            "text": made - images + _number(self._usage, "thoughtsTokenCount"),
            "image": images,
        }
        return sum(count * _number(prices, kind) for kind, count in tokens.items()) / 1_000_000

    def notes(self, request: AttemptRequest) -> dict[str, Any]:
        """What an edit of these pictures needs to be the next turn of this conversation; signatures by the
        SHA-256 of the picture."""
        if not self._signatures:
            return {}
        return {SIGNATURES: self._signatures, "prompt": text_of(request), "target": request.target}


def _get(holder: Mapping[str, Any], name: str) -> Any:
    """A field in camel case, or in snake case as some proxies write it."""
    if name in holder:
        return holder[name]
    return holder.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _table(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _get(holder, name)
    return value if isinstance(value, Mapping) else {}


def _tables(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = _get(holder, name)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = _get(holder, name)
    return value if isinstance(value, str) else ""


def _number(holder: Mapping[str, Any], name: str) -> float:
    value = _get(holder, name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0
