"""`/v1/account`: whose pictures these are, and what there is to spend."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ferrotype.db import accounts
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import problems

router = APIRouter(prefix="/v1/account", tags=["account"])

Ctx = Annotated[Context, Depends(context_of)]


class BalanceBody(BaseModel):
    """Credits."""

    available: int = Field(description="What orders can be placed with.")
    held: int = Field(description="Set aside for orders that have not ended.")
    spent: int


class AccountBody(BaseModel):
    """The account that the caller acts for."""

    object: Literal["account"]
    id: str
    name: str
    credits: BalanceBody


@router.get("", summary="Look at the account", responses={200: {"model": AccountBody}, **problems(401)})
async def show(context: Ctx) -> JSONResponse:
    """Name and balance, as they are now."""
    account = await context.database.read(lambda tx: accounts.get(tx, context.account_id))
    credits = {"available": account.available, "held": account.held, "spent": account.spent}
    body = {"object": "account", "id": account.id, "name": account.name, "credits": credits}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
