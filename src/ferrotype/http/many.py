"""Bodies of the routes that do one thing with many assets."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

#: Assets that one request may name.
MAX_CHOSEN: Final = 1_000
#: Ids have 36 characters; what is longer is not repeated in an answer.
AssetId = Annotated[str, Field(max_length=64, pattern=r"^[\x21-\x7e]*$")]


class Chosen(BaseModel):
    """Assets that something is done with."""

    model_config = ConfigDict(extra="forbid")

    asset_ids: list[AssetId] = Field(
        min_length=1, max_length=MAX_CHOSEN, description="A repeated one counts once."
    )


class OutcomeBody(BaseModel):
    """What was done with many."""

    object: Literal["list"]
    data: list[str] = Field(description="Ids of the assets that it was done with.")
    missing: list[str] = Field(description="Ids that it could not be done with, in their order.")


def outcome(done: list[str], missing: list[str]) -> JSONResponse:
    """An `OutcomeBody`."""
    body = {"object": "list", "data": done, "missing": missing}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
