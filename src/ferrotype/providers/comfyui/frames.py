"""The messages of ComfyUI's websocket, parsed. Whatever cannot be read is None: custom nodes send anything.

Text: `{"type": ..., "data": {...}}`. Binary: big-endian u32 event, then by event (recording 14):

- 1: u32 format (1 JPEG, 2 PNG), image. Carries no prompt id.
- 3: u32 length, node id, text.
- 4: u32 length, JSON `{prompt_id, node_id, image_type, ...}`, image.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, Final

#: The first message of a client: it makes the server send type 4 instead of type 1.
HELLO: Final = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})

_SIGNATURES: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


@dataclass(frozen=True, slots=True)
class Message:
    """A text message, or the text of a node (`type` is "text"). `prompt_id` is None where it says none."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    prompt_id: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a binary message: a preview, or what SaveImageWebsocket saved."""

    data: bytes
    content_type: str
    prompt_id: str | None = None
    node: str | None = None


def parse_text(text: str) -> Message | None:
    """A text message."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        return None
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    return Message(body["type"], data, _text(data.get("prompt_id")))


def parse_binary(frame: bytes) -> Message | Picture | None:
    """A binary message."""
    if len(frame) < 8:
        return None
    event, second = struct.unpack_from(">II", frame)
    if event == 1:
        return _picture(frame[8:], None, None)
    if event == 3:
        return Message("text")
    if event == 4 and 8 + second <= len(frame):
        try:
            facts = json.loads(frame[8 : 8 + second])
        except (ValueError, RecursionError):
            return None
        if isinstance(facts, dict):
            return _picture(frame[8 + second :], _text(facts.get("prompt_id")), _text(facts.get("node_id")))
    return None


def _picture(data: bytes, prompt_id: str | None, node: str | None) -> Picture | None:
    # The bytes say what they are; the header is only what the sender believed.
    for signature, content_type in _SIGNATURES:
        if data.startswith(signature):
            return Picture(data, content_type, prompt_id, node)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Picture(data, "image/webp", prompt_id, node)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
