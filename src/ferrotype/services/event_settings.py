"""Settings of events: how much one stream may ask, hold up and be told."""

from __future__ import annotations

from typing import ClassVar

from ferrotype.config import Settings, setting


class EventSettings(Settings):
    """Bounds of previews and of streams."""

    area: ClassVar[str] = "events"

    preview_max_bytes: int = setting(
        65_536, "Bytes of a preview; a larger one is made smaller, as WebP.", ge=2_048
    )
    previews_per_second: float = setting(
        4.0, "Previews of one picture that are told in a second; the newest wins.", gt=0
    )
    event_inline_bytes: int = setting(
        131_072, "Bytes up to which `inline=output` puts a picture into its events as it is.", ge=0
    )
    stream_replay_events: int = setting(
        10_000, "State events that a stream catches up with; beyond them it begins with a new snapshot.", ge=1
    )
    stream_stall_seconds: float = setting(
        30.0, "Seconds in which a stream's client must take what it is sent, or is cut off.", gt=0
    )
    socket_subscriptions: int = setting(100, "Subscriptions of one WebSocket.", ge=1)
