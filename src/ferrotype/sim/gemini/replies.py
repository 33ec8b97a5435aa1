"""The pieces of an answer: thoughts, pictures with their signatures, how it ended, what it used."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ferrotype.sim.gemini.models import ImageModel
from ferrotype.sim.gemini.orders import Order
from ferrotype.sim.hosted import Work

MIME_TYPES = {"JPEG": "image/jpeg", "WEBP": "image/webp"}
#: Tokens of an input picture, of thoughts, of a line of text.
PICTURE_TOKENS, THOUGHT_TOKENS, TEXT_TOKENS = 560, 90, 12


@dataclass(frozen=True, slots=True)
class Replies:
    """Makes the pieces of one answer. `words` are said beside the picture, `signature` is under it."""

    model: ImageModel
    order: Order
    work: Work
    signature: str
    words: str

    def thought(self, preview: bytes | None) -> dict[str, Any]:
        """A piece of the thinking: a line, and a draft where there is one."""
        parts: list[dict[str, Any]] = [{"text": "Working on the composition.", "thought": True}]
        if preview is not None:
            parts.append(_inline(preview, "image/jpeg") | {"thought": True})
        return self._piece({"content": {"role": "model", "parts": parts}, "index": 0})

    def picture(self) -> dict[str, Any]:
        """The picture; text before it, where it was asked for, is signed too."""
        parts: list[dict[str, Any]] = []
        if self.order.wants_text:
            parts.append({"text": self.words, "thoughtSignature": self.signature})
        for data in self.work.pictures:
            part = _inline(data, MIME_TYPES.get(self.work.form, "image/png"))
            parts.append(part | {"thoughtSignature": self.signature})
        return self._piece({"content": {"role": "model", "parts": parts}, "index": 0})

    def end(self, reason: str, message: str = "") -> dict[str, Any]:
        """Why it stopped, and what it used."""
        candidate: dict[str, Any] = {"finishReason": reason, "index": 0}
        if reason == "STOP":
            candidate["content"] = {"role": "model", "parts": [{"text": ""}]}
        if message:
            candidate["finishMessage"] = message
        if reason in ("SAFETY", "IMAGE_SAFETY"):
            candidate["safetyRatings"] = [
                {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
            ]
        return self._piece(candidate) | {"usageMetadata": self._usage(made=reason == "STOP")}

    def said(self, words: str) -> dict[str, Any]:
        """Words in place of a picture."""
        return self._piece({"content": {"role": "model", "parts": [{"text": words}]}, "index": 0})

    def blocked(self, reason: str) -> dict[str, Any]:
        """The whole answer to an order that was not let in."""
        return {
            "promptFeedback": {"blockReason": reason, "safetyRatings": []},
            "usageMetadata": {
                "promptTokenCount": self._asked(),
                "totalTokenCount": self._asked(),
            },
            **self._head(),
        }

    def _piece(self, candidate: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [candidate], **self._head()}

    def _head(self) -> dict[str, Any]:
        return {
            "modelVersion": self.model.name,
            "responseId": self.work.id,
            "createTime": datetime.now(UTC).isoformat(),
        }

    def _asked(self) -> int:
        return len(self.order.text.split()) + PICTURE_TOKENS * len(self.order.images)

    def _usage(self, *, made: bool) -> dict[str, Any]:
        images = self.model.tokens[self.order.resolution] * len(self.work.pictures) if made else 0
        text = TEXT_TOKENS if self.order.wants_text else 0
        details = [{"modality": "IMAGE", "tokenCount": images}] if images else []
        return {
            "promptTokenCount": self._asked(),
            "candidatesTokenCount": images + text,
            "thoughtsTokenCount": THOUGHT_TOKENS,
            "totalTokenCount": self._asked() + images + text + THOUGHT_TOKENS,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": len(self.order.text.split())}],
            "candidatesTokensDetails": details,
        }


def merged(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """The pieces as one answer."""
    whole = dict(pieces[-1])
    candidates = [piece["candidates"][0] for piece in pieces if "candidates" in piece]
    if candidates:
        parts = [part for one in candidates for part in one.get("content", {}).get("parts", [])]
        parts = [part for part in parts if part != {"text": ""}]
        candidate = {**candidates[-1], "content": {"role": "model", "parts": parts}}
        whole["candidates"] = [candidate]
    return whole


def _inline(data: bytes, mime_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}
