"""The one place where a Problem becomes a reply."""

from __future__ import annotations

import math
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ferrotype.domain.invalid import problem_of
from ferrotype.domain.problems import (
    MEDIA_TYPE,
    Forbidden,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    Unauthorized,
    UnsupportedMedia,
)
from ferrotype.services.download_stream import DownloadBroken

log = structlog.get_logger(__name__)

BY_STATUS: Final[dict[int, type[Problem]]] = {
    400: MalformedRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    415: UnsupportedMedia,
}


def reply(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """`problem` as application/problem+json."""
    extra = {"Cache-Control": "no-store", **(headers or {})}
    if problem.retry_after is not None:
        extra["Retry-After"] = str(math.ceil(problem.retry_after))
    if problem.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.to_json(), problem.status, extra, media_type=MEDIA_TYPE)


def from_validation(errors: list[dict[str, Any]]) -> Problem:
    """pydantic's errors as one problem: the first in front, all of them in `errors`."""
    if any(error["type"] == "json_invalid" for error in errors):
        return MalformedRequest(
            f"The body is not valid JSON: {errors[0].get('ctx', {}).get('error', '')}.", field="body"
        )
    return problem_of(errors)


def install(app: FastAPI) -> None:
    """Make every error of the API a problem."""

    @app.exception_handler(Problem)
    async def on_problem(_request: Request, problem: Problem) -> JSONResponse:
        return reply(problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return reply(from_validation(list(error.errors())))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, Problem):  # FastAPI wraps whatever breaks while it reads the body
            return reply(error.__cause__)
        cls = BY_STATUS.get(error.status_code, InternalError)
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return reply(cls(detail), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def on_anything(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, DownloadBroken):  # nothing of ours broke; raised only to cut the connection
            log.warning("a download was cut", path=request.url.path, detail=str(error))
        else:
            log.error("a request broke", path=request.url.path, exc_info=error)
        return reply(InternalError("The server's log tells more."))
