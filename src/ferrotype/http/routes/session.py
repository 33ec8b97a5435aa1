"""`/studio/session`: sign in to the studio with the API key, look, sign out."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ferrotype.domain.problems import Unauthorized
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import problems
from ferrotype.http.session import COOKIE

router = APIRouter(prefix="/studio/session", tags=["studio"])

Ctx = Annotated[Context, Depends(context_of)]


class SignIn(BaseModel):
    """The key that opens this server."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(max_length=4_096, description="The API key.")


class SessionBody(BaseModel):
    """Whether this browser may use the API."""

    object: Literal["session"]
    signed_in: bool
    needs_key: bool = Field(description="False where the server is open: nobody has to sign in.")


@router.post(
    "", summary="Sign in to the studio", status_code=204, responses=problems(400, 401, 403, 413, 422, 429)
)
async def sign_in(given: SignIn, request: Request, context: Ctx) -> Response:
    """The right key sets a cookie that stands for it; no script can read it and no other site sends it. Where
    no key is needed nothing is checked and nothing is set."""
    access = context.access
    access.check_same_origin(request.headers)
    reply = Response(status_code=204, headers={"Cache-Control": "no-store"})
    if not access.needs_key:
        return reply
    address = request.client.host if request.client else ""
    context.guesses.check(address)
    if not access.is_key(given.key.strip()):
        context.guesses.wrong(address)
        raise Unauthorized("That is not this server's API key.", field="key")
    reply.set_cookie(
        COOKIE,
        context.sessions.issue(),
        max_age=context.sessions.seconds,
        httponly=True,
        samesite="strict",
        secure=_is_https(request),
    )
    return reply


@router.get("", summary="Look whether one is signed in", responses={200: {"model": SessionBody}})
async def look(request: Request, context: Ctx) -> JSONResponse:
    """Answered to everybody, so that the studio knows whether to ask for the key."""
    needs_key = context.access.needs_key
    signed_in = not needs_key or context.access.holds_key(request.headers)
    return JSONResponse(
        {"object": "session", "signed_in": signed_in, "needs_key": needs_key},
        headers={"Cache-Control": "no-store"},
    )


@router.delete("", summary="Sign out of the studio", status_code=204, responses=problems(403))
async def sign_out(request: Request, context: Ctx) -> Response:
    """The browser forgets its session. Again is no error."""
    context.access.check_same_origin(request.headers)
    reply = Response(status_code=204, headers={"Cache-Control": "no-store"})
    reply.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_https(request))
    return reply


def _is_https(request: Request) -> bool:
    """Whether the browser came by https: it says so itself, also where a proxy in front ends TLS."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
