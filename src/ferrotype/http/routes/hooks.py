"""`/v1/hooks`: where providers call back. No API key: each provider proves itself by its own signature, and
what is not signed only makes us ask it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import NotFound
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import problems
from ferrotype.providers.base import Hooked

router = APIRouter(prefix="/v1/hooks", tags=["hooks"])

Ctx = Annotated[Context, Depends(context_of)]


@router.post(
    "/{connection}/{attempt_id}",
    summary="A provider's webhook",
    status_code=204,
    responses=problems(401, 404, 413),
)
async def receive(connection: str, attempt_id: str, request: Request, context: Ctx) -> Response:
    """Take what a provider tells of an attempt. An attempt that nobody waits for is no error: providers call
    again until they hear a 2xx."""
    provider: object = context.routing.providers.get(connection)
    if not isinstance(provider, Hooked) or not is_id(attempt_id):
        raise NotFound("Nobody expects a call there.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    await provider.hook(attempt_id, headers, await request.body())
    return Response(status_code=204)
