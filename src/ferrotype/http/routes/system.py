"""Health, readiness and metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from ferrotype import __version__
from ferrotype.http.context import Context, context_of

router = APIRouter(tags=["system"])

Ctx = Annotated[Context, Depends(context_of)]


@router.get("/", include_in_schema=False)
async def root() -> RedirectResponse:
    """People who open the address in a browser want to see something."""
    return RedirectResponse("/studio")


@router.get("/healthz", summary="Is the process there")
async def healthz() -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", summary="Can orders be taken")
async def readyz(context: Ctx) -> JSONResponse:
    """Orders can be taken: database, worker and disk are fine. 503 otherwise, with the reasons."""
    checks = await context.ready()
    ok = all(check["ok"] for check in checks.values() if check.get("required", True))
    return JSONResponse({"status": "ok" if ok else "unavailable", "checks": checks}, 200 if ok else 503)


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}, "application/json": {}}}},
)
async def metrics(request: Request, context: Ctx) -> Response:
    """Prometheus text; JSON when `Accept` asks for it."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(context.telemetry.to_json(), headers={"Vary": "Accept"})
    text, media_type = context.telemetry.prometheus()
    return Response(text, media_type=media_type, headers={"Vary": "Accept"})
