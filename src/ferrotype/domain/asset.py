"""The asset: a stored, immutable original, generated or uploaded."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from ferrotype.domain.states import AssetState


class Visibility(StrEnum):
    """Who may load a picture."""

    PUBLIC = "public"  # anybody, and it may be shown where nobody is signed in
    UNLISTED = "unlisted"  # whoever has the URL, whose id cannot be guessed
    PRIVATE = "private"  # only with the API key or a signed URL


class Placeholder(BaseModel):
    """What a page shows while the picture loads."""

    model_config = ConfigDict(frozen=True)

    thumbhash: str = Field(description="ThumbHash, base64.")
    color: str = Field(description="Dominant colour, `#rrggbb`.")
    data_uri: str = Field(description="A picture of 16-32 pixels.")


class Credit(BaseModel):
    """Whose artwork is in the picture, where a licence asks for it."""

    model_config = ConfigDict(frozen=True)

    artwork: str
    author: str
    license: str
    url: str


class Origin(BaseModel):
    """Where a provider left the bytes. `provider` knows how to authenticate the fetch."""

    model_config = ConfigDict(frozen=True)

    provider: str
    url: str


class Asset(BaseModel):
    """One original. What is not known yet is None."""

    model_config = ConfigDict(frozen=True)

    id: str
    account_id: str
    state: AssetState
    generation_id: str | None = None
    index: int | None = None
    seed: int | None = None
    origin: Origin | None = None
    width: int | None = None
    height: int | None = None
    content_type: str | None = None
    animated: bool | None = None
    has_alpha: bool | None = None
    bytes: int | None = None
    sha256: str | None = None
    placeholder: Placeholder | None = None
    stored: bool = False
    source_type: str | None = None
    credit: Credit | None = None
    visibility: Visibility = Visibility.UNLISTED
    created_at: datetime
    deleted_at: datetime | None = None
    expires_at: datetime | None = None
    purged_at: datetime | None = None
    favourite_at: datetime | None = None
